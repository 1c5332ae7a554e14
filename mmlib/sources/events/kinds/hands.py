"""Hands that clap: one clap each beat."""

from dataclasses import dataclass

import numpy as np

from mmlib.runtime.arrays import Reals
from mmlib.sources.events.canvas import Brush, Canvas, turn
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import box, ellipse, stroke, union
from mmlib.sources.events.waves import Wave, at, burst, convolve

AUDIENCE = (
    (-0.55, 0.5, 0.42),
    (0.55, 0.5, 0.42),
    (0.0, -0.45, 0.42),
    (-0.75, -0.5, 0.3),
    (0.75, -0.5, 0.3),
)
ONE_PAIR = ((0.0, 0.0, 1.0),)


@dataclass(frozen=True, kw_only=True)
class Hands(Kind):
    """Pairs of hands at `pairs` (x, y, size); a crowd's claps, `crowd_hz` a second, in between.

    A clap is noise about the pitch that falls to 1/e in `fall_s`.
    """

    pairs: tuple[tuple[float, float, float], ...] = ONE_PAIR
    crowd_hz: float = 0.0
    fall_s: float = 0.012

    def sound(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        """Claps of noise at the beats, over those of a crowd."""
        grain = burst(rng, rate_hz, event.pitch_hz, 0.7, rise_s=0.001, fall_s=self.fall_s)
        lead = at(event.strikes, samples, rate_hz, [1.0] * len(event.strikes))
        number = rng.poisson(self.crowd_hz * (event.end_s - event.onset_s))
        crowd = rng.uniform(event.onset_s, event.end_s, number)
        claps = lead + at(crowd, samples, rate_hz, rng.uniform(0.05, 0.4, number))
        return convolve(claps, grain)

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """Hands that meet, the first pair at each beat and the others each in their own time."""
        brush = Brush(canvas, event)
        for number, (x, y, size) in enumerate(self.pairs):
            late = rng.uniform(0, 1) if number else 0.0
            gap = 0.05 + 0.32 * np.abs(np.sin(np.pi * (brush.cycle + late)))
            impact = np.clip(1 - brush.since / 0.1, 0, 1) * brush.playing if not number else 0.0
            where = ((brush.x - x) / np.float32(size), (brush.y - y) / np.float32(size))
            _pair(brush, event, where, gap, impact, size)


def _pair(
    brush: Brush,
    event: Event,
    where: tuple[Reals, Reals],
    gap: Reals,
    impact: Reals | float,
    size: float,
) -> None:
    """Two hands with sleeves about `gap` from the middle, and lines of impact as they meet."""
    # One hand, mirrored: distance from the vertical axis, less the gap, and leaning outwards.
    x, y = turn(np.abs(where[0]) - gap - 0.2, where[1], np.float32(0.25))
    sleeve = box(x, y - 0.75, 0.26, 0.25)
    hand = union(
        ellipse(x, y - 0.12, 0.25, 0.48),
        stroke(x, y, (-0.1, -0.1), (-0.14, -0.66), 0.1),
        stroke(x, y, (0.1, -0.1), (0.12, -0.7), 0.1),
        stroke(x, y, (0.15, 0.2), (0.4, -0.15), 0.09),
    )
    brush.fill(sleeve * size, event.accent)
    brush.fill(hand * size, event.colour)
    x, y = np.abs(where[0]), where[1] + 0.6
    sparks = union(
        stroke(x, y, (0.0, -0.12), (0.0, -0.4), 0.05),
        stroke(x, y, (0.14, -0.05), (0.35, -0.25), 0.05),
    )
    brush.fill(sparks * size, event.accent, impact)
