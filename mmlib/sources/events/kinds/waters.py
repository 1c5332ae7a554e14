"""Waters: falling and rolling; each beat is a gust, or a wave that breaks."""

from dataclasses import dataclass

import numpy as np

from mmlib.runtime.arrays import Reals
from mmlib.sources.events.canvas import Brush, Canvas
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import box, disc, ellipse, union
from mmlib.sources.events.waves import Wave, at, band_noise, convolve, damped, span

BLUE = (0.6, 0.75, 1.0)
WHITE = (0.95, 0.98, 1.0)


@dataclass(frozen=True, kw_only=True)
class Water(Kind):
    """A hiss about the pitch, `octaves` wide, that swells to each beat from the share `lull` of it.

    Over it patter drops, `drops_hz` a second.
    """

    lull: float
    octaves: float
    drops_hz: float = 0.0

    def sound(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        """A hiss that swells with the gusts, and drops."""
        times = np.arange(samples) / rate_hz
        strength = self.strength(event.cycle(times)).astype(np.float64) ** 2
        water = band_noise(rng, samples, rate_hz, event.pitch_hz, self.octaves) * strength
        if self.drops_hz:
            number = rng.poisson(self.drops_hz * (event.end_s - event.onset_s))
            starts = rng.uniform(event.onset_s, event.end_s, number)
            drops = at(starts, samples, rate_hz, rng.exponential(1.0, number))
            drop = damped([event.pitch_hz * 1.3], [1.0], [0.003], int(0.03 * rate_hz), rate_hz)
            water += 1.5 * convolve(drops * strength, drop)
        return np.asarray(water * span(event, times, 0.1))

    def strength(self, cycle: Reals) -> Reals:
        """How strong it is in [lull, 1] at a fractional beat: strongest at each beat."""
        mean = (1 + self.lull) / 2
        return np.asarray(mean + (1 - mean) * np.cos(2 * np.pi * cycle))


@dataclass(frozen=True, kw_only=True)
class Rain(Water):
    """Drops from a cloud."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """A cloud and its rain, heavier in gusts."""
        brush = Brush(canvas, event)
        count = 110
        column, lean = rng.uniform(-0.95, 0.95, count), rng.uniform(-0.25, 0.25)
        # The lightest gust still wets a third of the drops; the order of dropping out is fixed.
        heavy = self.strength(brush.cycle[:, 0]) >= np.linspace(0.0, 1.0, count)
        falling = heavy & brush.playing[:, 0].astype(bool)
        cover = _falling(brush, rng, column, falling, speed_hz=1.3, tail=0.16, lean=lean)
        brush.glaze(cover, BLUE)
        x, y = brush.x, brush.y
        cloud = union(
            ellipse(x, y + 0.6, 0.95, 0.2),
            disc(x - 0.35, y + 0.7, 0.25),
            disc(x + 0.15, y + 0.75, 0.32),
        )
        brush.fill(cloud, event.colour)


@dataclass(frozen=True, kw_only=True)
class Waterfall(Water):
    """A river over a ledge."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """A white column between dark rocks, streaked as it falls, and foam at its foot."""
        brush = Brush(canvas, event, level=True)
        x, y = brush.x, brush.y
        brush.fill(box(x, y, 1.0, 0.98), event.accent)
        brush.fill(box(x, y - 0.05, 0.42, 0.95), WHITE)
        brush.fill(box(x, y + 0.9, 1.0, 0.1), event.colour)
        count = 45
        column = rng.uniform(-0.4, 0.4, count)
        falling = np.ones((len(brush.times_s), count), bool)
        cover = _falling(brush, rng, column, falling, speed_hz=1.8, tail=0.3, lean=0.0)
        brush.glaze(cover, [0.6 * level for level in event.colour])
        for offset in (-0.5, 0.0, 0.5):
            swell = 0.28 + 0.08 * np.sin(2 * np.pi * (brush.cycle * 2 + offset))
            brush.fill(ellipse(x - offset, y - 0.72, swell + 0.1, swell), WHITE, 0.9)


@dataclass(frozen=True, kw_only=True)
class Surf(Water):
    """Waves of the sea."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """Three rows of crests that roll to a side and rise to each beat, white as they break."""
        brush = Brush(canvas, event, level=True)
        way = float(rng.choice([-1.0, 1.0]))
        rise = self.strength(brush.cycle)
        for row, depth in enumerate((-0.35, 0.15, 0.65)):
            phase = 4.2 * brush.x + way * 2 * np.pi * brush.cycle + 2.1 * row
            crest = (1 - np.abs(np.sin(phase / 2))) * (0.2 + 0.3 * rise)
            x, y = brush.x, brush.y - depth + crest.astype(np.float32)
            shade = [level * (0.55 + 0.22 * row) for level in event.colour]
            brush.fill(np.maximum(-y, box(x, brush.y, 1.05, 1.0)), shade)
            brush.fill(np.maximum(np.abs(y) - 0.07, np.abs(x) - 1.05), WHITE, 0.35 + 0.65 * rise)


def _falling(
    brush: Brush,
    rng: np.random.Generator,
    column: Reals,
    falling: Reals,
    *,
    speed_hz: float,
    tail: float,
    lean: float,
) -> Reals:
    """Cover of streaks that fall again and again at `column` (n,), where `falling` (t, n)."""
    count = column.size
    start, speed = rng.uniform(0, 1, count), rng.uniform(0.9, 1.1, count) * speed_hz
    fallen = (start + speed * brush.times_s[:, 0]) % 1.0
    points = np.linspace(0, tail, 6)
    depth = (fallen[:, :, None] + points).reshape(len(fallen), -1)
    sideways = np.repeat(column, points.size) + lean * depth
    there = np.repeat(falling, points.size, axis=1) * (depth < 1)
    return brush.specks(
        sideways.astype(np.float32),
        (-0.45 + 1.35 * depth).astype(np.float32),
        there.astype(np.float32),
        spread=0.25,
    )
