"""Peak memory of what runs in this process, and of the processes below it."""

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


def measured(function: Callable[[], Result]) -> tuple[Result, int, int]:
    """The result, and the peaks of resident memory in KiB: this process, the largest below it."""
    largest = 0
    over = threading.Event()

    def watch() -> None:
        nonlocal largest
        # Not the rusage of children: it counts the driver's own pages, which a fork shares.
        while not over.wait(0.2):
            largest = max([largest, *map(_peak, _below(os.getpid()))])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = function()
    finally:
        over.set()
        watcher.join()
    return result, _peak(os.getpid()), largest


def _below(pid: int) -> list[int]:
    """All processes that the process started, and those that they did."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text(encoding="utf-8").split()):
                found += [child, *_below(child)]
    return found


def _peak(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    lines = [line.split() for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0][1]) if lines else 0
