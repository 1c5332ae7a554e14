"""Birds: one call each beat."""

from dataclasses import dataclass

import numpy as np

from mmlib.runtime.arrays import Reals
from mmlib.sources.events.canvas import Brush, Canvas
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind, Range
from mmlib.sources.events.shapes import box, convex, disc, ellipse, ring, stroke, union
from mmlib.sources.events.waves import Wave, at, band_noise, convolve, harmonics

YELLOW = (1.0, 0.75, 0.1)
PALE = (0.95, 0.95, 0.85)


@dataclass(frozen=True, kw_only=True)
class Bird(Kind):
    """A call of `length_s` with harmonics of these `gains`.

    Its pitch changes by `slope` of itself from start to end, trills by `trill` of itself, and is
    hoarse by `hoarse`: the deviation of its noise as a share of the pitch. `notes` are the moments
    of a call's notes, in lengths.
    """

    length_s: Range
    gains: tuple[float, ...]
    slope: Range = (0.0, 0.0)
    trill: Range = (0.0, 0.0)
    hoarse: float = 0.0
    notes: tuple[float, ...] = (0.0,)

    def sound(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        """The call at each beat, all alike, as of one bird."""
        length, slope = rng.uniform(*self.length_s), rng.uniform(*self.slope)
        times = np.arange(int(length * rate_hz)) / rate_hz
        trill = rng.uniform(*self.trill) * np.sin(2 * np.pi * rng.uniform(15, 45) * times)
        bend = 1 + slope * (times / length - 0.5) + trill
        if self.hoarse:
            bend += self.hoarse * band_noise(rng, times.size, rate_hz, 150, 1.0)
        call = harmonics(np.cumsum(event.pitch_hz * bend) / rate_hz, self.gains)
        call *= np.hanning(times.size) ** 0.7
        starts = np.add.outer(event.strikes, length * np.asarray(self.notes)).ravel()
        loudness = rng.uniform(0.5, 1.0, len(event.strikes)).repeat(len(self.notes))
        return convolve(at(starts, samples, rate_hz, loudness), call)


@dataclass(frozen=True, kw_only=True)
class Songbird(Bird):
    """A small bird on the wing."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """In flight, from the front: one beat of the wings each beat, beak open on the chirp."""
        brush = Brush(canvas, event)
        lift = np.cos(2 * np.pi * brush.cycle)
        x, y = np.abs(brush.x), brush.y - 0.1 * lift
        elbow, tip = (0.48, -0.12 - 0.32 * lift), (0.92, 0.08 - 0.75 * lift)
        wings = union(stroke(x, y, (0.1, 0.0), elbow, 0.18), stroke(x, y, elbow, tip, 0.11))
        brush.fill(wings, event.colour)
        brush.fill(union(ellipse(x, y - 0.08, 0.27, 0.42), disc(x, y + 0.34, 0.21)), event.colour)
        mask = union(disc(x - 0.08, y + 0.36, 0.05), ellipse(x, y - 0.16, 0.1, 0.2))
        brush.fill(mask, event.accent)
        brush.fill(ellipse(x, y + 0.22, 0.05, 0.05 + 0.07 * _calling(brush)), YELLOW)


@dataclass(frozen=True, kw_only=True)
class Crow(Bird):
    """A black bird."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """Black before a pale moon, on a branch: it stoops and opens its beak on each call."""
        brush = Brush(canvas, event)
        x, y = brush.x * np.float32(rng.choice([-1.0, 1.0])), brush.y
        brush.fill(disc(x, y, 1.0), PALE)
        call = _calling(brush)
        nod = 0.22 * call
        body = union(
            ellipse(x, y - 0.1, 0.34, 0.5),
            stroke(x, y, (0.15, 0.35), (0.55, 0.85), 0.15),
            disc(x + 0.3 + nod, y + 0.5 - nod, 0.24),
            stroke(x, y, (-0.1, -0.15), (-0.25 - nod, -0.45 + nod), 0.2),
        )
        beak = -0.5 - nod
        upper = stroke(x, y, (beak, -0.5 + nod), (beak - 0.28, -0.5 + nod - 0.14 * call), 0.07)
        lower = stroke(x, y, (beak, -0.45 + nod), (beak - 0.26, -0.4 + nod + 0.16 * call), 0.05)
        brush.fill(union(body, upper, lower), event.colour)
        brush.fill(stroke(x, y, (-0.95, 0.74), (0.95, 0.6), 0.09), (0.3, 0.2, 0.1))


@dataclass(frozen=True, kw_only=True)
class Owl(Bird):
    """A bird with great eyes."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """Upright, from the front; it shuts its eyes and puffs up on each hoot."""
        brush = Brush(canvas, event)
        hoot = np.clip(1 - np.abs(brush.since / 0.4 - 0.5) * 2, 0, 1) * brush.playing
        x, y = np.abs(brush.x), brush.y
        ears = convex(x, y, [(0.2, -0.7), (0.5, -1.0), (0.58, -0.5)])
        body = union(
            ellipse(x, y - 0.15, 0.5 + 0.16 * hoot, 0.8), ellipse(x, y + 0.5, 0.58, 0.4), ears
        )
        brush.fill(body, event.colour)
        brush.fill(ellipse(x, y - 0.35, 0.3 + 0.14 * hoot, 0.45), event.accent, 0.7)
        eye = 0.25
        brush.fill(disc(x - 0.27, y + 0.5, eye), (1.0, 0.9, 0.4))
        brush.fill(ellipse(x - 0.27, y + 0.5, eye * 0.6, 0.16 - 0.13 * hoot), (0.02, 0.02, 0.02))
        brush.fill(ellipse(x, y + 0.28, 0.07, 0.13), YELLOW)
        brush.fill(box(brush.x, y - 0.97, 0.9, 0.07), event.accent)


@dataclass(frozen=True, kw_only=True)
class Duck(Bird):
    """A bird afloat."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """Seen from the side on rippled water; it bobs, and its bill opens on each quack."""
        brush = Brush(canvas, event, level=True)
        x, y = brush.x * np.float32(rng.choice([-1.0, 1.0])), brush.y
        call = _calling(brush)
        bob = y - 0.08 * np.sin(np.pi * brush.cycle)
        ripples = np.float32(0.06) * np.sin(9 * x + 4 * brush.times_s).astype(np.float32)
        body = union(
            ellipse(x - 0.1, bob - 0.3, 0.68, 0.34),
            convex(x, bob, [(0.45, 0.2), (0.98, -0.15), (0.8, 0.4)]),
            stroke(x, bob, (-0.42, 0.2), (-0.42, -0.4), 0.15),
        )
        brush.fill(body, event.colour)
        brush.fill(disc(x + 0.45, bob + 0.5, 0.27), (0.1, 0.45, 0.2))
        brush.fill(ring(x + 0.42, bob + 0.12, 0.1, 0.08), (1.0, 1.0, 1.0))
        for side in (-1, 1):
            tip = (-1.0, -0.42 + side * (0.03 + 0.13 * call))
            brush.fill(stroke(x, bob, (-0.7, -0.45), tip, 0.08), (1.0, 0.6, 0.0))
        brush.fill(box(x, y - 0.8 + ripples, 1.05, 0.22), (0.15, 0.4, 0.75))


def _calling(brush: Brush) -> Reals:
    """1 as a call begins, falling to 0 while it lasts."""
    return np.asarray(np.clip(1 - brush.since / 0.25, 0, 1) * brush.playing)
