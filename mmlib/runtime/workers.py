"""Map a function over work items, in processes of this machine or on a Ray cluster.

What is written never depends on where, or in how many processes. `pieces` shares the items of a
stage among processes that a launcher started.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import TypeVar

from tqdm import tqdm

from mmlib.runtime import shares
from mmlib.runtime.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def worker_count() -> int:
    """Number of worker processes: MMLIB_WORKERS, or the cores that this process may use."""
    text = os.environ.get("MMLIB_WORKERS")
    if not text:
        count = (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
        return shares.cores_of(count)
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"MMLIB_WORKERS is {text!r}: give a whole number of at least 1")
    return int(text)


def map_ordered(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    label: str,
    workers: int | None = None,
    whole: bool = False,
    device: bool = False,
) -> Iterator[Result]:
    """Yield `function(item)` in item order, computed by spawned processes of one thread each.

    `function` and the items must be picklable. With one worker, or one item, it runs in this
    process. At most 2 results a worker wait to be taken, so memory stays flat. Shows progress on
    stderr. The first exception of an item is raised here; a worker that dies (killed, out of
    memory) is a UserError. Items that are `whole` use all cores, one at a time in this process.

    MMLIB_EXECUTOR=ray computes them on a cluster instead (see `ray_tasks`): each item then asks for
    a core, for all of a machine where it is `whole`, or for a GPU where it runs nets on the
    `device`.
    """
    return map_phases(
        function,
        [items],
        total=len(items),
        label=label,
        workers=workers,
        whole=whole,
        device=device,
    )


def map_phases(
    function: Callable[[Item], Result],
    phases: Iterable[Sequence[Item]],
    *,
    total: int,
    label: str,
    workers: int | None = None,
    whole: bool = False,
    device: bool = False,
) -> Generator[Result, None, None]:
    """Yield as `map_ordered` does, one phase after another in the same processes.

    A phase begins, and is taken from `phases`, once all results of the one before have been
    yielded. `total` is the number of items of all phases.
    """
    workers = min(1 if whole else workers or worker_count(), total)
    results: Iterator[Result]
    if total and shares.executor() == "ray":
        # Imported late: the package is an extra, and its import takes a second.
        from mmlib.runtime.ray_tasks import on_cluster

        results = on_cluster(function, phases, label=label, whole=whole, device=device)
    elif workers <= 1:
        results = _in_turn(function, phases, one_thread=not whole)
    else:
        results = _in_processes(function, phases, label, workers)
    with tqdm(
        total=total, desc=label, file=sys.stderr, mininterval=2.0, disable=not total
    ) as progress:
        for result in results:
            progress.update()
            yield result


def _in_turn(
    function: Callable[[Item], Result], phases: Iterable[Sequence[Item]], *, one_thread: bool
) -> Iterator[Result]:
    # One torch thread, as in a worker process: sums in another order give other last digits.
    for item in chain.from_iterable(phases):
        torch = sys.modules.get("torch") if one_thread else None
        threads = torch.get_num_threads() if torch else 0
        if torch:
            torch.set_num_threads(1)
        try:
            with shares.nested():
                result = function(item)
        finally:
            if torch:
                torch.set_num_threads(threads)
        yield result


def _in_processes(
    function: Callable[[Item], Result],
    phases: Iterable[Sequence[Item]],
    label: str,
    workers: int,
) -> Iterator[Result]:
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(workers,),
    )
    try:
        for items in phases:
            upcoming = iter(items)
            waiting = [pool.submit(function, item) for item in islice(upcoming, 2 * workers)]
            while waiting:
                result = waiting.pop(0).result()
                waiting += [pool.submit(function, item) for item in islice(upcoming, 1)]
                yield result
    except BrokenProcessPool:
        raise UserError(
            f"{label}: a worker process died, most often for lack of memory; finished pieces "
            f"are kept: run again, with fewer workers (MMLIB_WORKERS={max(1, workers // 2)})"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(workers: int) -> None:
    shares.nest_process(workers)
    # Processes of several threads each spin on one another's barriers: up to 27 times slower.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
