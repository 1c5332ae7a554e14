"""Map a function over items on a Ray cluster: in order, so many under way, the dead tried again.

The project lies on a disk that all machines see, where functions write what they make: results
that travel are small. Ray Core alone is used, not Ray Data.
"""

import fcntl
import multiprocessing
import os
import platform
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

from mmlib.runtime import shares
from mmlib.runtime.errors import UserError
from mmlib.runtime.ray_start import connected
from mmlib.runtime.workers import worker_count

Item = TypeVar("Item")
Result = TypeVar("Result")

RETRIES = 5
"""How often an item is tried again whose worker or node died; its own errors are never retried."""
_LOOK_S = 5.0
_WAIT_S = 1.0
# A network file system may show a new file some seconds late.
_SEEN_S = 15.0


class _Request(NamedTuple):
    """What an item asks of the cluster."""

    cpus: int
    gpus: int


def on_cluster(
    function: Callable[[Item], Result],
    phases: Iterable[Sequence[Item]],
    *,
    label: str,
    whole: bool,
    device: bool,
) -> Iterator[Result]:
    """Yield `function(item)` in item order, one phase after another.

    Twice as many items are under way as the cluster can work on, and at most four times as many
    results wait to be taken. `whole` items ask for as many cores as the smallest machine has, those
    that run nets on the `device` for a GPU where the cluster has any and MMLIB_DEVICE is not "cpu",
    all others for one core. The exception of an item is raised here as it is. UserError when an
    item's worker died more than `RETRIES` times, and when there is no such cluster.
    """
    ray = connected()
    asked = _request(ray, whole, device)
    with _token() as token:
        environment = tuple(sorted(_environment(asked).items()))
        place = (str(Path.cwd()), str(token), environment, asked == _Request(1, 0))

        # Ray takes nothing but a function; this one travels once, its items one by one.
        def work(item: Item) -> Result:
            return _work(function, place, item)

        options = {"num_cpus": asked.cpus, "num_gpus": asked.gpus, "max_retries": RETRIES}
        submit = ray.remote(work).options(**options, retry_exceptions=False).remote
        slots = _Slots(ray, asked)
        for items in phases:
            yield from _in_order(ray, submit, items, slots, label)


def _request(ray: Any, whole: bool, device: bool) -> _Request:
    has_gpu = ray.cluster_resources().get("GPU", 0) >= 1
    gpus = int(device and has_gpu and os.environ.get("MMLIB_DEVICE") != "cpu")
    cpus = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    return _Request(min(filter(None, cpus), default=1) if whole else 1, gpus)


class _Slots:
    """How many items the cluster can work on at once, as it is now: machines come and go."""

    def __init__(self, ray: Any, asked: _Request) -> None:
        self._ray, self._asked = ray, asked
        self._count, self._looked = 1, float("-inf")

    def count(self) -> int:
        """At least 1; the cluster is asked every few seconds."""
        if time.monotonic() - self._looked > _LOOK_S:
            self._looked = time.monotonic()
            there = self._ray.cluster_resources()
            needs = (("CPU", self._asked.cpus), ("GPU", self._asked.gpus))
            found = (int(there.get(name, 0) // need) for name, need in needs if need)
            self._count = max(1, min(found))
        return self._count


def _in_order(
    ray: Any, submit: Callable[[Item], Any], items: Sequence[Item], slots: _Slots, label: str
) -> Iterator[Any]:
    upcoming = iter(items)
    waiting: deque[Any] = deque()
    under_way: set[Any] = set()
    left = len(items)
    try:
        while left or waiting:
            while left and len(under_way) < 2 * slots.count() > len(waiting) // 4:
                waiting.append(submit(next(upcoming)))
                under_way.add(waiting[-1])
                left -= 1
            if waiting[0] not in under_way:
                yield _result(ray, waiting.popleft(), label)
                continue
            ready, _ = ray.wait(list(under_way), num_returns=1, timeout=_WAIT_S)
            under_way.difference_update(ready)
    finally:
        for unfinished in under_way:
            with suppress(Exception):
                ray.cancel(unfinished, force=True)


def _result(ray: Any, reference: Any, label: str) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        said = str(error).strip().splitlines()
        reason = said[0] if said else type(error).__name__
        raise UserError(
            f"{label}: an item's worker died {RETRIES + 1} times, most often for lack of memory "
            f"({reason}); finished pieces are kept: run again, on machines with fewer cores or "
            "more memory"
        ) from None


def _environment(asked: _Request) -> dict[str, str]:
    """What workers have of this process's environment: variables of this project."""
    ours = {name: value for name, value in os.environ.items() if name.startswith("MMLIB_")}
    # Of a machine's GPUs Ray shows an item its own alone.
    return ours | {"MMLIB_DEVICE": "cuda" if asked.gpus else "cpu"}


@contextmanager
def _token() -> Iterator[Path]:
    """A file by which workers know that they see the same disk."""
    token = Path("scratch", ".ranks", f"cluster-{uuid4().hex}").absolute()
    token.parent.mkdir(parents=True, exist_ok=True)
    token.touch()
    try:
        yield token
    finally:
        token.unlink(missing_ok=True)


def _work(
    function: Callable[[Item], Result],
    place: tuple[str, str, tuple[tuple[str, str], ...], bool],
    item: Item,
) -> Result:
    _enter(*place)
    return function(item)


@lru_cache(maxsize=1)
def _enter(
    folder: str, token: str, environment: tuple[tuple[str, str], ...], one_a_core: bool
) -> None:
    """Make this worker one of the project: its folder, its variables, others on other cores."""
    end = time.monotonic() + _SEEN_S
    while not Path(token).exists():
        if time.monotonic() > end:
            raise UserError(
                f"{platform.node()} does not see {folder} as this machine does: the project must "
                "lie on a disk that all machines of the cluster mount at the same place"
            )
        time.sleep(_WAIT_S)
    os.chdir(folder)
    os.environ.update(environment)
    shares.nest_process(worker_count() if one_a_core else 1)
    _take_place()


@cache
def _take_place() -> int | None:
    """Make this process one of a pool, with a place of its own among the machine's cores.

    By it ffmpeg's threads are kept on one core, as they are under a local worker. A place is a lock
    that ends with the process; the nodes of a machine, if there are several, share its places.
    None, and nothing happens, where all are taken.
    """
    for place in range(worker_count()):
        path = Path(tempfile.gettempdir(), f"mmlib-{os.getuid()}-worker-{place}")
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            multiprocessing.current_process()._identity = (place + 1,)
            return place
    return None
