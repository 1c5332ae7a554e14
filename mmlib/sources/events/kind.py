"""What a kind of event is: ranges that events are drawn from, a sound and a sight."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mmlib.sources.events.canvas import Canvas
from mmlib.sources.events.event import Event
from mmlib.sources.events.waves import Wave

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Kind(ABC):
    """Ranges from which an event of one kind is drawn, evenly (pitch: evenly in octaves).

    `interval_s` is the time between beats, each changed by up to the share `jitter` and multiplied
    by a factor drawn from `growth` from one beat to the next. `scale` multiplies the size of the
    sight, `speed` is the fastest drift in picture sides a second, `tilt` the largest lean in
    radians. `gain_db` offsets the level, for sounds that are harder or easier to hear than others
    at the same peak. Bodies have about the `hue` (in [0, 1)), or any (None), and a `saturation` and
    `light` (HSV) within their ranges. A family of kinds adds fields of its own, so that a variant
    of it is a row of values.
    """

    interval_s: Range
    duration_s: Range = (1.4, 2.8)
    pitch_hz: Range = (1.0, 1.0)
    hue: float | None = None
    saturation: Range = (0.55, 0.9)
    light: Range = (0.8, 1.0)
    jitter: float = 0.0
    growth: Range = (1.0, 1.0)
    scale: float = 1.0
    speed: float = 0.05
    tilt: float = 0.1
    gain_db: float = 0.0

    audible: ClassVar[bool] = True
    visible: ClassVar[bool] = True

    @abstractmethod
    def sound(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        """The event's waveform (N,), float64, at any level: the mixer sets it.

        Silent outside the event but for what rings on.
        """

    @abstractmethod
    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """Paint the event on the canvas.

        Coordinates of a brush are in units of the event's size, x to the right and y down, so that
        a sight fills about [-1, 1] both ways; angles are in radians.
        """
