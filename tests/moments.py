"""Moments in the work of a process by what it has done, so that a kill falls there on any machine.

A process that is started with `kill_at_piece` or `hold_at` in its environment, or that calls
`count_operations`, watches itself: Python tells it of every file it opens, renames or removes.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Not from tests.conftest: every process that watches itself would import pytest.
ROOT = Path(__file__).resolve().parent.parent

_PIECE, _HOLD, _MARK = "TEST_KILL_AT_PIECE", "TEST_HOLD_AT", "TEST_HELD"
_LOG, _END = "TEST_OPERATIONS", "TEST_KILL_AT_OPERATION"
_OPERATIONS = {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "subprocess.Popen"}
HANG_S = 1800.0
"""No machine takes so long; a test that waits longer has found a hang."""


def kill_at_piece(stage: str, root: Path = ROOT) -> dict[str, str]:
    """Environment of a process group that is killed once a piece lies in `scratch/<stage>-*`.

    `root` is the checkout whose modules the processes import.
    """
    return {**_hooked(root), _PIECE: f"{stage}-"}


def hold_at(module: str, mark: Path, root: Path = ROOT) -> dict[str, str]:
    """Environment in which `python -m module` makes the file `mark` and then waits to be killed."""
    return {**_hooked(root), _HOLD: module, _MARK: str(mark)}


def _hooked(root: Path) -> dict[str, str]:
    return {"PYTHONPATH": f"{root / 'tests/hooks'}:{root}"}


def obey() -> None:
    """Do in this process what its environment asks for."""
    if piece := os.environ.get(_PIECE):
        sys.addaudithook(_Piece(piece))
    if log := os.environ.get(_LOG):
        end = os.environ.get(_END)
        sys.addaudithook(_Count(Path(log), int(end) if end else None))
    if os.environ.get(_HOLD) in sys.orig_argv:
        Path(os.environ[_MARK]).touch()
        while True:
            signal.pause()


def count_operations(log: Path, end: int | None = None) -> None:
    """From now on write a byte to the log for each operation of this process and its workers.

    With `end`, the process group is killed before the operation of that number, from 0.
    """
    os.environ |= {**_hooked(ROOT), _LOG: str(log), _END: "" if end is None else str(end)}
    sys.addaudithook(_Count(log, end))


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; AssertionError when it never does."""
    deadline = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < deadline, "a hang"
        time.sleep(0.01)


def _end() -> None:
    os.killpg(0, signal.SIGKILL)


class _Piece:
    """Python tells of a rename before it; whatever comes after it finds the piece in its place."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._piece: str | None = None

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._piece and event != "os.killpg" and os.access(self._piece, os.F_OK):
            _end()
        if event == "os.rename":
            target = Path(os.fsdecode(str(arguments[1]))).absolute()
            folder = target.parent
            if folder.name.startswith(self._prefix) and folder.parent.name == "scratch":
                self._piece = str(target)


class _Count:
    """The log counts for all processes: each write adds a byte at its end."""

    def __init__(self, log: Path, end: int | None) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._end = end

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in _OPERATIONS:
            os.write(self._log, b".")
            if self._end is not None and os.fstat(self._log).st_size > self._end:
                _end()
