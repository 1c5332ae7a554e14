"""What no label names: sounds without a sight, shapes without a sound, unlike any class."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mmlib.sources.events.canvas import Brush, Canvas, turn
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import both, box, stroke, union
from mmlib.sources.events.waves import Wave, band_noise

_SPAN = (0.8, 2.8)


@dataclass(frozen=True, kw_only=True)
class Heard(Kind):
    """A sound without a sight."""

    play: Callable[[Event, np.random.Generator, int, int], Wave]
    visible: ClassVar[bool] = False

    def sound(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        """What `play` makes."""
        return self.play(event, rng, samples, rate_hz)

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """Nothing."""


@dataclass(frozen=True, kw_only=True)
class Seen(Kind):
    """A sight without a sound."""

    paint: Callable[[Canvas, Event, np.random.Generator], None]
    audible: ClassVar[bool] = False

    def sound(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        """Silence."""
        return np.zeros(samples)

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """What `paint` draws."""
        self.paint(canvas, event, rng)


def drone(event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """A steady chord of three organ tones."""
    times = np.arange(samples) / rate_hz
    out = np.zeros(samples)
    for step in (0, rng.integers(3, 5), 7):
        phase = 2 * np.pi * event.pitch_hz * 2 ** (step / 12) * times + rng.uniform(0, 6)
        out += np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.25 * np.sin(4 * phase)
    return out * _swell(event, times)


def buzz(event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """A hum of many harmonics, as of a bad cable."""
    times = np.arange(samples) / rate_hz
    ramp = 2 * ((event.pitch_hz * times) % 1) - 1
    return np.tanh(3 * ramp**3) * _swell(event, times)


def whoosh(event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """A gust of noise that comes and goes, once."""
    times = np.arange(samples) / rate_hz
    return band_noise(rng, samples, rate_hz, event.pitch_hz, 0.5) * _swell(event, times) ** 2


def swell(event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """A tone that grows and breaks off, as of a tape played backwards."""
    times = np.arange(samples) / rate_hz
    share = (times - event.onset_s) / (event.end_s - event.onset_s)
    envelope = np.where((share > 0) & (share < 1), np.exp(5 * (np.minimum(share, 1) - 1)), 0)
    phase = 2 * np.pi * event.pitch_hz * times
    return np.asarray((np.sin(phase) + 0.4 * np.sin(3.3 * phase)) * envelope)


def _swell(event: Event, times_s: Wave) -> Wave:
    """A smooth rise to the middle of the event and fall to its end."""
    share = np.clip((times_s - event.onset_s) / (event.end_s - event.onset_s), 0, 1)
    return np.asarray(np.sqrt(np.sin(np.pi * share)))


def triangle(canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
    """A triangle that drifts."""
    brush = Brush(canvas, event)
    sides = [
        turn(brush.x, brush.y, np.float32(2 * np.pi * k / 3))[1] - np.float32(0.4) for k in range(3)
    ]
    brush.fill(both(*sides), event.colour)


def frame(canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
    """A hollow square that breathes."""
    brush = Brush(canvas, event)
    half = 0.55 + 0.2 * np.sin(2 * np.pi * brush.cycle)
    brush.fill(np.abs(box(brush.x, brush.y, half, half)) - np.float32(0.12), event.colour)


def checker(canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
    """A chequered patch that drifts."""
    brush = Brush(canvas, event)
    patch = box(brush.x, brush.y, 0.75, 0.75)
    brush.fill(patch, event.accent)
    waves = np.sin(2 * np.pi * 1.33 * brush.x) * np.sin(2 * np.pi * 1.33 * brush.y)
    brush.fill(both(patch, -0.1 * waves), event.colour)


def cross(canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
    """A plus sign that drifts."""
    brush = Brush(canvas, event)
    arms = union(
        stroke(brush.x, brush.y, (-0.7, 0.0), (0.7, 0.0), 0.2),
        stroke(brush.x, brush.y, (0.0, -0.7), (0.0, 0.7), 0.2),
    )
    brush.fill(arms, event.colour)


def stripes(canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
    """A patch of bars that run through it."""
    brush = Brush(canvas, event)
    bars = -0.1 * np.sin(2 * np.pi * (1.5 * brush.x + brush.cycle))
    brush.fill(both(box(brush.x, brush.y, 0.8, 0.6), bars), event.colour)


HEARD = {
    "drone": Heard(play=drone, duration_s=(0.8, 2.5), interval_s=(0.5, 1.0), pitch_hz=(90, 500)),
    "buzz": Heard(play=buzz, duration_s=(0.5, 2.0), interval_s=(0.5, 1.0), pitch_hz=(60, 180)),
    "whoosh": Heard(play=whoosh, duration_s=(0.4, 1.2), interval_s=(0.4, 1.0), pitch_hz=(300, 3e3)),
    "swell": Heard(play=swell, duration_s=(0.5, 1.2), interval_s=(0.6, 1.2), pitch_hz=(200, 1200)),
}
"""Sounds that nothing in the picture makes."""

SEEN = {
    "triangle": Seen(paint=triangle, duration_s=_SPAN, interval_s=(0.5, 2.0), speed=0.3, tilt=3.0),
    "frame": Seen(paint=frame, duration_s=_SPAN, interval_s=(0.5, 1.5), speed=0.2, tilt=0.8),
    "checker": Seen(paint=checker, duration_s=_SPAN, interval_s=(0.5, 2.0), speed=0.3, tilt=0.8),
    "cross": Seen(paint=cross, duration_s=_SPAN, interval_s=(1.0, 3.0), speed=0.3, tilt=0.8),
    "stripes": Seen(paint=stripes, duration_s=_SPAN, interval_s=(0.4, 1.5), speed=0.2, tilt=1.5),
}
"""Shapes that make no sound."""
