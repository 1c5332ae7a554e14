"""What was read of a file's tracks, on the clock of the section: time 0 is where it begins."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mmlib.media.log import Log
from mmlib.runtime.arrays import Bytes, Floats, Ints, Ints16

# Decoders give pictures and sound in order; parts that were joined may overlap by a few frames.
_MOST_BACK_S = 0.2


class Fault(NamedTuple):
    """What is wrong with what a track gave: its `kind`, values or times, and in words."""

    kind: str
    text: str


def find_lost(track: str, seconds: float) -> Fault | None:
    """What is wrong with time stamps for which so many seconds are lost; None: nothing."""
    if seconds <= _MOST_BACK_S:
        return None
    return Fault("times", f"time stamps of {track} run back or too far")


@dataclass(frozen=True)
class Pictures:
    """What a run gave of the pictures; times in seconds.

    `frames` (n, H, W, 3) with their grid `ticks` (n,); `times` (m,) of the source's own frames, and
    the `end` of the last (minus infinity: there is none). `log` and `status` are those of the run.
    `present`: the file has such a track. `whole`: one set of filters has seen all of it, for the
    picture keeps its form. `fault`: what is wrong with the times.
    """

    frames: Bytes
    ticks: Ints
    times: Floats
    end: float
    log: Log
    status: int
    present: bool = True
    whole: bool = True
    fault: Fault | None = None

    @classmethod
    def none(cls, size: int, log: Log, status: int, *, present: bool) -> "Pictures":
        """No picture, of a track of `size` x `size` pixels that is there or not."""
        frames = np.empty((0, size, size, 3), np.uint8)
        ticks, times = np.empty(0, np.int64), np.empty(0)
        return cls(frames, ticks, times, -math.inf, log, status, present)

    @property
    def begin(self) -> float:
        """When the first picture is shown; infinity: never."""
        return float(self.times[0]) if len(self.frames) else math.inf


@dataclass(frozen=True)
class Sound:
    """What a run gave of the sound: `samples` (N,) int16 from second `begin` on; see `Pictures`.

    `fault`: what is wrong with the values or the times.
    """

    samples: Ints16
    begin: float
    log: Log
    status: int
    present: bool = True
    fault: Fault | None = None

    @classmethod
    def none(cls, log: Log, status: int) -> "Sound":
        """No sound, for there is no such track, or none of a known form."""
        present = "Audio" in log.unknown
        return cls(np.empty(0, np.int16), 0.0, log, status, present=present)


@dataclass(frozen=True)
class Reading:
    """Both tracks. `partial`: the file lacks parts; `errors`: complaints about the clip."""

    pictures: Pictures
    sound: Sound
    partial: bool = False
    errors: frozenset[str] = frozenset()

    @property
    def logs(self) -> tuple[Log, Log]:
        """The logs of the runs that the tracks come from: the pictures' and the sound's."""
        return self.pictures.log, self.sound.log
