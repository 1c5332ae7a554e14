"""How processes that share the phases of a stage wait for one another."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from mmlib.runtime.errors import UserError, one_line
from mmlib.runtime.scratch import Scratch, fingerprint, write_whole
from mmlib.runtime.shares import Finished, Share

Item = TypeVar("Item")
_EVERYTHING = Share(0, 1)
_POLL_S = 0.2
_SLOWEST_POLL_S = 2.0
_SAY_S = 60.0


@dataclass(frozen=True)
class Phase(Generic[Item]):
    """Items, and whether the pieces of the one at a place are finished: a question to the disk."""

    items: Sequence[Item]
    finished: Callable[[int], bool]

    def unfinished(self, share: Share) -> list[int]:
        """The places of a share's items that are still to be done."""
        places = range(share.place, len(self.items), share.of)
        return [place for place in places if not self.finished(place)]


class Crew:
    """The processes that share a stage, as this one sees them: by files beside the scratch.

    A file says of a process that it is done, or why it failed.
    """

    def __init__(self, share: Share, scratch: Scratch, label: str) -> None:
        self.share, self._label = share, label
        self._folder = scratch.ranks / fingerprint(share.launch)
        self._heeded = time.monotonic()
        if not share.alone and share.together:
            for kind in ("done", "failed"):
                (self._folder / f"{share.place}.{kind}").unlink(missing_ok=True)

    def heed(self) -> None:
        """UserError when another process has failed; looks at the disk now and then."""
        now = time.monotonic()
        if self.share.alone or not self.share.together or now - self._heeded < _SLOWEST_POLL_S:
            return
        self._heeded = now
        for file in sorted(self._folder.glob("*.failed")):
            told = file.read_text(encoding="utf-8")
            raise _Other(f"process {file.stem} of {self.share.of} failed: {told}")

    def fail(self, error: BaseException) -> None:
        """Tell the others why this process ends."""
        if self.share.alone or not self.share.together or isinstance(error, _Other):
            return
        said = one_line(error) if isinstance(error, UserError | OSError) else repr(error)
        self._tell("failed", said)

    def wait(self, phase: Phase[Any]) -> None:
        """Return when all pieces of a phase are finished; a task of an array ends if they are not.

        Its next submission goes on from there.
        """
        if self.share.together:
            self._until(phase, ())
        elif left := phase.unfinished(_EVERYTHING):
            raise Finished(
                f"{self._label}: {self.share} has made its pieces; {len(left)} of "
                f"{len(phase.items)} that the next step needs are other tasks': when they have "
                "ended, submit the array again"
            )

    def end(self, phase: Phase[Any], last: bool) -> None:
        """Return in the process that assembles, when all is there; end the stage in the others."""
        if self.share.alone:
            return
        if not last:
            self.wait(phase)
            return
        if self.share.together and self.share.place == 0:
            others = range(1, self.share.of)
            self._until(phase, [self._folder / f"{place}.done" for place in others])
            return
        then = "the first one assembles"
        if self.share.together:
            self._tell("done", "")
        else:
            left = len(phase.unfinished(_EVERYTHING))
            then = f"{left} of {len(phase.items)} are missing" if left else "all are there"
            then += "; `dvc repro` assembles them once all tasks have ended"
        raise Finished(f"{self._label}: {self.share} has made its pieces; {then}")

    def _until(self, phase: Phase[Any], files: Sequence[Path]) -> None:
        """Wait for the pieces of the other processes, and for files of theirs."""
        pause, said = _POLL_S, time.monotonic()
        left, missing = phase.unfinished(_EVERYTHING), list(files)
        while left or missing:
            self.heed()
            if time.monotonic() - said > _SAY_S:
                said = time.monotonic()
                lacking = f"{len(left)} pieces of the other processes"
                lacking = lacking if left else f"{len(missing)} other processes to end"
                print(f"{self._label}: waiting for {lacking}", file=sys.stderr)
            time.sleep(pause)
            pause = min(1.1 * pause, _SLOWEST_POLL_S)
            left = [place for place in left if not phase.finished(place)]
            missing = [file for file in missing if not file.exists()]

    def _tell(self, kind: str, text: str) -> None:
        path = self._folder / f"{self.share.place}.{kind}"
        write_whole(path, lambda temporary: _write(temporary, text))


class _Other(UserError):
    """Another process's failure, which it has told of itself."""


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
