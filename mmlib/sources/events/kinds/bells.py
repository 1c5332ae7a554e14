"""Bells: bodies of metal that ring on; one stroke each beat, or a few in quick succession."""

from dataclasses import dataclass

import numpy as np

from mmlib.sources.events.canvas import Brush, Canvas, turn
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import both, box, disc, ring, stroke, union
from mmlib.sources.events.waves import Wave, at, convolve, damped

CHURCH = (
    (0.5, 0.35),
    (1, 0.7),
    (1.2, 0.8),
    (1.5, 0.3),
    (2, 1),
    (2.52, 0.5),
    (3.01, 0.45),
    (4.1, 0.3),
)
"""Hum, prime, minor third, fifth, nominal and above."""
COW = ((1, 1), (1.48, 0.9), (2.34, 0.3), (3.4, 0.25), (4.9, 0.2))
DOME = ((1, 1), (2.32, 0.4))
PLATE = (
    (1, 1),
    (1.52, 0.7),
    (2.1, 0.7),
    (2.75, 0.6),
    (3.3, 0.6),
    (4.1, 0.5),
    (5.2, 0.5),
    (6.6, 0.4),
    (8.3, 0.3),
)


@dataclass(frozen=True, kw_only=True)
class Bell(Kind):
    """A struck body: `partials` (ratio to the pitch, gain), inharmonic; high ones die first.

    The pitch falls to 1/e in about `fall_s`; each beat brings `strokes`, so many a second.
    """

    partials: tuple[tuple[float, float], ...]
    fall_s: float = 1.0
    strokes: int = 1
    strokes_hz: float = 1.0

    def sound(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        """Damped partials, a little out of tune with each other, at each stroke."""
        ratios, gains = np.transpose(self.partials)
        ratios = ratios * (1 + rng.normal(0, 0.006, ratios.size))
        falls_s = self.fall_s * rng.uniform(0.7, 1.3) / np.sqrt(ratios)
        grain = damped(event.pitch_hz * ratios, gains, falls_s, min(samples, 2 * rate_hz), rate_hz)
        times = np.add.outer(event.strikes, np.arange(self.strokes) / self.strokes_hz).ravel()
        return convolve(at(times, samples, rate_hz, rng.uniform(0.7, 1.0, times.size)), grain)


@dataclass(frozen=True, kw_only=True)
class SwingingBell(Bell):
    """A bell with a clapper; half widths in units of size, `dome` the share at which it is wide.

    The half width grows from `top` by `flare` to the rim, as the power `curve` of the depth.
    """

    beam: bool
    swing: float
    dome: float
    top: float
    flare: float
    curve: float

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """A bell that swings about its yoke; the clapper meets the rim at each end of the swing."""
        brush = Brush(canvas, event, reach=1.4)
        swing = np.cos(np.pi * brush.cycle)
        if self.beam:
            brush.fill(box(brush.x, brush.y + 0.97, 0.6, 0.07), event.accent)
        x, y = turn(brush.x, brush.y + 0.92, (self.swing * swing).astype(np.float32))
        if not self.beam:
            brush.fill(ring(x, y - 0.2, 0.22, 0.08), event.accent)
        depth = np.clip((y - 0.08) / 1.3, 0, 1)
        half_width = self.top * np.sqrt(np.clip(depth / self.dome, 0, 1))
        half_width = half_width + self.flare * depth**self.curve
        rim = self.top + self.flare
        clapper = 0.67 * rim * swing
        brush.fill(
            union(
                disc(x - clapper, y - 1.5, 0.15), stroke(x, y, (0.0, 0.9), (clapper, 1.45), 0.05)
            ),
            event.accent,
        )
        brush.fill(both((np.abs(x) - half_width) * 0.7, np.abs(y - 0.73) - 0.65), event.colour)
        if self.beam:
            brush.fill(box(x, y - 1.27, rim - 0.06, 0.06), event.accent)


@dataclass(frozen=True, kw_only=True)
class HungPlate(Bell):
    """A gong."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """A disc that hangs in a frame and swings from the mallet's stroke at each beat."""
        brush = Brush(canvas, event)
        x, y = brush.x, brush.y
        frame = union(box(np.abs(x) - 0.95, y, 0.08, 1.0), box(x, y + 0.95, 1.0, 0.08))
        brush.fill(frame, event.accent)
        swing = 0.12 * np.exp(-brush.since / 0.4) * np.sin(10 * brush.since) * brush.playing
        plate_x = x - swing
        brush.fill(box(np.abs(plate_x) - 0.35, y + 0.75, 0.03, 0.22), event.accent)
        brush.fill(disc(plate_x, y - 0.05, 0.74), event.colour)
        brush.fill(ring(plate_x, y - 0.05, 0.52, 0.05), event.accent)
        brush.fill(disc(plate_x, y - 0.05, 0.2), (1.0, 0.95, 0.8))
        away = 1 - np.abs(np.cos(np.pi * brush.cycle))
        head = (0.16 + 0.7 * away, 0.1 + 0.5 * away)
        mallet = union(stroke(x, y, (0.98, 1.0), head, 0.07), disc(x - head[0], y - head[1], 0.2))
        brush.fill(mallet, (0.75, 0.15, 0.1))


@dataclass(frozen=True, kw_only=True)
class HandlebarBell(Bell):
    """A bicycle's bell."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """A dome on a handlebar; its lever flicks at each beat, and lines of ringing come off."""
        brush = Brush(canvas, event)
        x, y = brush.x, brush.y
        bar = union(
            stroke(x, y, (-0.95, 0.72), (-0.55, 0.4), 0.12),
            stroke(x, y, (-0.55, 0.4), (0.55, 0.4), 0.12),
            stroke(x, y, (0.55, 0.4), (0.95, 0.72), 0.12),
        )
        brush.fill(bar, event.accent)
        brush.fill(
            union(box(np.abs(x) - 0.92, y - 0.7, 0.14, 0.2), box(x, y - 0.7, 0.1, 0.35)),
            event.accent,
        )
        brush.fill(both(disc(x, y - 0.2, 0.55), y - 0.15), event.colour)
        brush.fill(both(disc(x + 0.15, y, 0.22), y - 0.0), (1.0, 1.0, 1.0), 0.7)
        flick = np.exp(-brush.since / 0.12) * brush.playing
        lever = (0.75 - 0.25 * flick, 0.0 + 0.25 * flick)
        brush.fill(stroke(x, y, (0.4, 0.22), lever, 0.09), event.colour)
        for radius in (0.75, 0.98):
            arc = both(ring(x, y - 0.2, radius, 0.05), np.abs(x) * 0.8 + y + 0.12)
            brush.fill(arc, (1.0, 0.95, 0.6), flick)
