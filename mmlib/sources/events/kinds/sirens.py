"""Sirens: one sweep and one turn of the light each beat; pitch is the highest that is reached."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmlib.runtime.arrays import Reals
from mmlib.sources.events.canvas import Brush, Canvas
from mmlib.sources.events.event import Colour, Event
from mmlib.sources.events.kind import Kind, Range
from mmlib.sources.events.shapes import both, box, disc, stroke, union
from mmlib.sources.events.waves import Wave, harmonics, span

RED = (1.0, 0.1, 0.1)
BLUE = (0.15, 0.3, 1.0)
AMBER = (1.0, 0.6, 0.05)
DARK = (0.06, 0.06, 0.07)

Boxes = tuple[tuple[float, float, float, float], ...]
"""Of each box: middle x and y, half width and half height."""


def wail(turns: Wave) -> Wave:
    """Up and down again."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * turns))


def yelp(turns: Wave) -> Wave:
    """Up, and at once from below again."""
    return np.asarray(turns % 1)


def two_tone(turns: Wave) -> Wave:
    """High and low in turn."""
    return np.asarray(0.5 + 0.5 * np.tanh(8 * np.sin(2 * np.pi * turns)))


@dataclass(frozen=True, kw_only=True)
class Siren(Kind):
    """A tone that sweeps up to the pitch from `sweep` times below, in a `form` over each beat."""

    form: Callable[[Wave], Wave]
    sweep: Range
    gains: tuple[float, ...] = (1.0, 0.4, 0.35)

    def sound(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        """The sweeps."""
        times = np.arange(samples) / rate_hz
        high = self.form(event.cycle(times).astype(np.float64))
        lowest = event.pitch_hz / rng.uniform(*self.sweep)
        turns = np.cumsum(lowest * (event.pitch_hz / lowest) ** high) / rate_hz
        return harmonics(turns, self.gains) * span(event, times, 0.05)


@dataclass(frozen=True, kw_only=True)
class Vehicle(Siren):
    """A siren on wheels, seen from the side: boxes of the body, its windows and its marks."""

    hull: Boxes
    windows: Boxes
    marks: Boxes = ()
    mark_colour: Colour = RED
    wheels: tuple[float, ...] = (-0.55, 0.55)
    lamp: tuple[float, float] = (0.0, -0.5)
    lights: tuple[Colour, Colour] = (RED, BLUE)
    ladder: bool = False

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """Its lamp throws two beams that turn once each beat."""
        brush = Brush(canvas, event, reach=1.6)
        x, y = brush.x * np.float32(rng.choice([-1.0, 1.0])), brush.y
        _beams(brush, x - self.lamp[0], y - self.lamp[1], self.lights)
        if self.ladder:
            rungs = np.abs(((x * 5) % 1) - 0.5) * 0.2 - 0.035
            rails = union(
                *(stroke(x, y + side, (-0.95, -0.72), (0.6, -0.38), 0.04) for side in (0, 0.2))
            )
            between = both(stroke(x, y + 0.1, (-0.95, -0.72), (0.6, -0.38), 0.1), rungs)
            brush.fill(union(rails, between), (0.9, 0.9, 0.9))
        brush.fill(_boxes(x, y, self.hull), event.colour)
        brush.fill(_boxes(x, y, self.windows), event.accent)
        if self.marks:
            brush.fill(_boxes(x, y, self.marks), self.mark_colour)
        hubs = [disc(x - hub, y - 0.55, 0.22) for hub in self.wheels]
        brush.fill(union(*hubs), DARK)
        brush.fill(union(*hubs) + np.float32(0.12), (0.8, 0.8, 0.8))


@dataclass(frozen=True, kw_only=True)
class Horns(Siren):
    """A siren on a mast."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """Two horns on a mast that turn once each beat, and the waves that come off them."""
        brush = Brush(canvas, event)
        x, y = brush.x, brush.y
        facing = np.cos(2 * np.pi * brush.cycle)
        brush.fill(union(box(x, y - 0.35, 0.08, 0.65), box(x, y - 0.97, 0.4, 0.06)), event.accent)
        # A horn that turns away is foreshortened; its mouth stays as high as it is.
        reach = np.float32(0.25) + np.float32(0.65) * np.abs(facing)
        along = np.abs(x) / reach
        mouth = np.maximum((np.abs(y + 0.5) - (0.08 + 0.34 * along**2)) * 0.7, np.abs(x) - reach)
        waves = np.abs((np.abs(x) - 1.2 * brush.times_s) * 4 % 1 - 0.5) * 0.25 - 0.05
        fan = both(waves.astype(np.float32), np.abs(y + 0.5) - 0.55 * np.abs(x), np.abs(x) - 1.0)
        brush.fill(fan, (1.0, 0.9, 0.4), 0.8 * brush.playing)
        brush.fill(mouth, event.colour)
        brush.fill(disc(x, y + 0.5, 0.2), event.accent)


def _boxes(x: Reals, y: Reals, boxes: Boxes) -> Reals:
    return union(*(box(x - a, y - b, width, height) for a, b, width, height in boxes))


def _beams(brush: Brush, x: Reals, y: Reals, lights: tuple[Colour, Colour]) -> None:
    """A lamp at the origin whose two beams turn once each beat."""
    angle = 2 * np.pi * brush.cycle
    radius = np.sqrt(x * x + y * y) + np.float32(1e-3)
    along = (x * np.cos(angle) + y * np.sin(angle)) / radius
    glow = np.clip(1.2 - 1.6 * radius, 0, 1)
    for colour, facing in zip(lights, (along, -along), strict=True):
        beam = np.clip(facing, 0, 1) ** 2
        brush.glaze((beam * glow).astype(np.float32), colour, brush.playing)
    lit = np.cos(angle)[..., None].transpose(3, 0, 1, 2) >= 0
    lamp = np.where(lit, *(np.reshape(colour, (3, 1, 1, 1)) for colour in lights))
    brush.fill(box(x, y, 0.2, 0.13), lamp.astype(np.float32))
