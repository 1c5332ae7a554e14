"""One thing that happens in a clip: what its sound and its sight share."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mmlib.runtime.arrays import Floats32

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Event:
    """One event, with the parameters that its sound and its sight share.

    `beats` are times in seconds, rising; the first lies before `onset_s` and the last after
    `end_s`, and those between are the moments at which the thing strikes, claps, chirps, flashes
    or touches. `x`, `y`, `size` (half its extent) and `drift` (a second) are shares of the
    picture's side; y grows downwards. `tilt` is in radians, `snr_db` the loudest 50 ms over the
    background noise, `opacity` how far the sight covers what is behind it. `heard` or `seen` may be
    False, never both. `seed` draws what one of the two alone needs.
    """

    name: str
    onset_s: float
    end_s: float
    beats: tuple[float, ...]
    pitch_hz: float
    snr_db: float
    heard: bool
    seen: bool
    x: float
    y: float
    size: float
    drift: tuple[float, float]
    tilt: float
    colour: Colour
    accent: Colour
    opacity: float
    seed: int

    @property
    def strikes(self) -> tuple[float, ...]:
        """The beats within the event, in seconds; the first is the onset."""
        return self.beats[1:-1]

    def cycle(self, times_s: ArrayLike) -> Floats32:
        """Beats since the onset, fractional: k at the k-th strike, linear between."""
        steps = np.arange(len(self.beats), dtype=np.float64) - 1
        return np.asarray(np.interp(np.asarray(times_s), self.beats, steps), np.float32)

    def since_strike(self, times_s: ArrayLike) -> Floats32:
        """Seconds since the latest strike; negative before the first."""
        strikes = np.asarray(self.strikes)
        latest = np.searchsorted(strikes, times_s, side="right") - 1
        since = np.asarray(times_s) - strikes[np.maximum(latest, 0)]
        return np.asarray(since, np.float32)
