"""Map a function over work items in processes; what is written never depends on how many."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
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
    workers = min(workers or worker_count(), len(items))
    progress = tqdm(
        total=len(items), desc=label, file=sys.stderr, mininterval=2.0, disable=not items
    )
    with progress:
        results = (
            _in_turn(function, items)
            if workers <= 1
            else _in_processes(function, items, label, workers)
        )
        for result in results:
            progress.update()
            yield result


def _in_turn(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    # One torch thread, as in a worker process: sums in another order give other last digits.
    for item in items:
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
    function: Callable[[Item], Result], items: Sequence[Item], label: str, workers: int
) -> Iterator[Result]:
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_one_thread
    )
    try:
        waiting: list[Future[Result]] = []
        upcoming = iter(items)
        for item in upcoming:
            waiting.append(pool.submit(function, item))
            if len(waiting) == 2 * workers:
                break
        while waiting:
            result = waiting.pop(0).result()
            for item in upcoming:
                waiting.append(pool.submit(function, item))
                break
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
