"""One gate for all worker processes: how often the site is visited, and when not at all.

State is a small file under a lock. After `refusals` visits in a row without an answer the gate
closes for a pause; then one visit probes, and an answer opens it again. Each further refusal
doubles the pause; after `cooldowns` pauses the stage ends, before it can fill rows with failures
that are not the clips' own.
"""

import contextlib
import fcntl
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from mmlib.runtime.errors import UserError
from mmlib.sources.youtube.pacing import Pacing

_LOOK_AGAIN_S = 1.0


@dataclass
class _State:
    """Times are of the system's clock; `in_a_row` counts visits without an answer."""

    run: int = 0
    next_visit: float = 0.0
    in_a_row: int = 0
    pauses: int = 0
    closed_until: float = 0.0
    probing_until: float = 0.0
    ended: bool = False
    last: str = ""


class Gate:
    """The gate whose state lies in the folder; every process makes its own of the same folder.

    `clock` is in seconds and the same for all processes; `sleep` waits by it.
    """

    def __init__(
        self,
        folder: Path,
        pacing: Pacing,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = folder / "gate.json"
        self._pacing = pacing
        self._clock = clock
        self._sleep = sleep
        folder.mkdir(parents=True, exist_ok=True)

    def enter(self) -> None:
        """Wait until a visit may begin; UserError when the site has refused for too long."""
        while True:
            with self._state() as state:
                admitted, wait = self._admit(state, self._clock())
            if admitted:
                self._sleep(wait)
                with self._state() as state:
                    # Others may have been refused while this one waited for its turn.
                    if self._clock() >= state.closed_until:
                        return
            else:
                self._sleep(min(wait, _LOOK_AGAIN_S))

    def leave(self, refusal: str | None) -> None:
        """Say how the visit ended: None when the site answered, else what it was."""
        with self._state() as state:
            now = self._clock()
            if refusal is None:
                state.in_a_row = state.pauses = 0
                state.closed_until = state.probing_until = 0.0
                return
            state.in_a_row += 1
            state.last = refusal
            probing = state.pauses > 0 and now >= state.closed_until
            if probing or (not state.pauses and state.in_a_row >= self._pacing.refusals):
                self._close(state, now)

    def _close(self, state: _State, now: float) -> None:
        state.pauses += 1
        state.probing_until = 0.0
        if state.pauses > self._pacing.cooldowns:
            state.ended = True
            return
        pause = self._pacing.cooldown_s * 2 ** (state.pauses - 1)
        state.closed_until = now + pause
        print(
            f"download: {state.in_a_row} visits in a row without an answer ({state.last}); "
            f"pause of {pause:g} s, then one visit to see",
            file=sys.stderr,
        )

    def _admit(self, state: _State, now: float) -> tuple[bool, float]:
        """Whether a visit may begin, and after how many seconds (or when to ask again)."""
        if state.run != _run():
            # A run that is begun after the end of another one probes first.
            state.run, state.probing_until = _run(), 0.0
            if state.ended:
                state.ended, state.pauses, state.closed_until = False, 1, now
        if state.ended:
            raise UserError(self._farewell(state))
        if state.pauses:
            closed = max(state.closed_until, state.probing_until) - now
            if closed > 0:
                return False, closed
            state.probing_until = now + self._pacing.timeout_s + 2 / self._pacing.visits_per_s
        begin = max(now, min(state.next_visit, now + 3600.0))
        state.next_visit = begin + 1 / self._pacing.visits_per_s
        return True, begin - now

    def _farewell(self, state: _State) -> str:
        return (
            f"the site has not answered {state.in_a_row} visits in a row ({state.last}), after "
            f"{self._pacing.cooldowns} pauses: fetched clips are kept; wait some hours, update "
            "yt-dlp, or give MMLIB_YOUTUBE_COOKIES, then run again (docs/fetching.md)"
        )

    @contextlib.contextmanager
    def _state(self) -> Iterator[_State]:
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                state = _State(**json.loads(self._path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError):
                state = _State()
            try:
                yield state
            finally:
                temporary = self._path.with_suffix(".partial")
                temporary.write_text(json.dumps(asdict(state)), encoding="utf-8")
                temporary.replace(self._path)


def _run() -> int:
    """The process of the stage, which its workers share."""
    parent = multiprocessing.parent_process()
    return os.getpid() if parent is None or parent.pid is None else parent.pid
