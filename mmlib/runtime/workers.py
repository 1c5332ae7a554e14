"""Map a function over work items in processes; what is written never depends on how many."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import TypeVar

from tqdm import tqdm

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
        return max(1, count // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"MMLIB_WORKERS is {text!r}: give a whole number of at least 1")
    return int(text)


def share() -> tuple[int, int]:
    """This process's place among those that torchrun started (RANK), and how many (WORLD_SIZE).

    (0, 1) without torchrun.
    """
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def map_ordered(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    label: str,
    workers: int | None = None,
) -> Iterator[Result]:
    """Yield `function(item)` in item order, computed by spawned processes of one thread each.

    `function` and the items must be picklable. With one worker, or one item, it runs in this
    process. At most 2 results a worker wait to be taken, so memory stays flat. Shows progress on
    stderr. The first exception of an item is raised here; a worker that dies (killed, out of
    memory) is a UserError.
    """
    return map_phases(function, [items], total=len(items), label=label, workers=workers)


def map_phases(
    function: Callable[[Item], Result],
    phases: Iterable[Sequence[Item]],
    *,
    total: int,
    label: str,
    workers: int | None = None,
) -> Iterator[Result]:
    """Yield as `map_ordered` does, one phase after another in the same processes.

    A phase begins, and is taken from `phases`, once all results of the one before have been
    yielded. `total` is the number of items of all phases.
    """
    workers = min(workers or worker_count(), total)
    progress = tqdm(total=total, desc=label, file=sys.stderr, mininterval=2.0, disable=not total)
    with progress:
        results = (
            _in_turn(function, phases)
            if workers <= 1
            else _in_processes(function, phases, label, workers)
        )
        for result in results:
            progress.update()
            yield result


def _in_turn(
    function: Callable[[Item], Result], phases: Iterable[Sequence[Item]]
) -> Iterator[Result]:
    # One torch thread, as in a worker process: sums in another order give other last digits.
    for item in chain.from_iterable(phases):
        torch = sys.modules.get("torch")
        threads = torch.get_num_threads() if torch else 0
        if torch:
            torch.set_num_threads(1)
        try:
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
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_one_thread
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


def _one_thread() -> None:
    # Processes of several threads each spin on one another's barriers: up to 27 times slower.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
