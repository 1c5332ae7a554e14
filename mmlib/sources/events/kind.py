"""What a kind of event is: ranges that events are drawn from, a sound and a sight."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmlib.sources.events.canvas import Canvas
from mmlib.sources.events.event import Event
from mmlib.sources.events.waves import Wave

Range = tuple[float, float]

Sound = Callable[[Event, np.random.Generator, int, int], Wave]
"""(event, rng, samples, sample rate in Hz) -> waveform (N,), float64.

At any level (the mixer sets it); silent outside the event but for what rings on.
"""

Sight = Callable[[Canvas, Event, np.random.Generator], None]
"""Paint the event on the canvas.

Coordinates of a brush are in units of the event's size, x to the right and y down, so that a sight
fills about [-1, 1] both ways; angles are in radians.
"""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Ranges from which an event of one kind is drawn, evenly (pitch: evenly in octaves).

    `interval_s` is the time between beats, each changed by up to the share `jitter` and multiplied
    by a factor drawn from `growth` from one beat to the next. `scale` multiplies the size of the
    sight, `speed` is the fastest drift in picture sides a second, `tilt` the largest lean in
    radians. `gain_db` offsets the level, for sounds that are harder or easier to hear than others
    at the same peak. Bodies have about the `hue` (in [0, 1)), or any (None). A distractor has a
    sound or a sight alone.
    """

    sound: Sound | None = None
    sight: Sight | None = None
    duration_s: Range
    interval_s: Range
    pitch_hz: Range = (1.0, 1.0)
    hue: float | None = None
    jitter: float = 0.0
    growth: Range = (1.0, 1.0)
    scale: float = 1.0
    speed: float = 0.05
    tilt: float = 0.1
    gain_db: float = 0.0
