"""What falls and lands: it touches down at each beat."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mmlib.runtime.arrays import Reals
from mmlib.sources.events.canvas import Brush, Canvas, turn
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import both, box, convex, disc, ellipse, union
from mmlib.sources.events.waves import Wave, at, burst, convolve, damped

WATER = (0.25, 0.55, 0.9)


class Arc(NamedTuple):
    """The height (t, 1, 1) of what flies from beat to beat, at most `top`, and its age in both."""

    height: Reals
    before: Reals
    after: Reals


@dataclass(frozen=True, kw_only=True)
class Ball(Kind):
    """What bounces: `partials` (ratio to the pitch, gain, fall in s) ring at each beat.

    `slap` is the gain of the click with which it meets the ground.
    """

    partials: tuple[tuple[float, float, float], ...]
    slap: float = 0.6

    def sound(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        """A thud at each beat, the louder the longer the fall before it."""
        ratios, gains, falls_s = np.transpose(self.partials)
        length = int(4 * falls_s.max() * rate_hz)
        thud = damped(event.pitch_hz * ratios, gains, falls_s, length, rate_hz)
        slap = burst(rng, rate_hz, 6 * event.pitch_hz, 0.8, rise_s=0.0005, fall_s=0.01)
        length = min(slap.size, thud.size)
        thud[:length] += self.slap * slap[:length] / np.abs(slap).max()
        falls = np.diff(event.beats)[:-1]
        return convolve(at(event.strikes, samples, rate_hz, falls / falls.max()), thud)

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """A ball with a seam, squashed as it touches the ground."""
        brush = Brush(canvas, event, level=True)
        height = arc(brush, event, 0.85).height
        ground, radius = 0.9, 0.52
        x, y = brush.x, brush.y - (ground - radius) + height
        brush.fill(box(brush.x, brush.y - ground - 0.08, 1.0, 0.05), event.accent)
        shadow = ellipse(brush.x, brush.y - ground, 0.48 - 0.2 * height, 0.07)
        brush.fill(shadow, (0.05, 0.05, 0.05), 0.6)
        squash = np.clip(1 - height / 0.12, 0, 1) * 0.25
        y = y - squash * radius
        brush.fill(ellipse(x, y, radius * (1 + squash), radius * (1 - squash)), event.colour)
        seam_x, seam_y = turn(x, y, (1.5 * brush.cycle).astype(np.float32))
        seam = both(disc(x, y, radius * 0.9), union(np.abs(seam_x), np.abs(seam_y)) - 0.06)
        brush.fill(seam, event.accent)


@dataclass(frozen=True, kw_only=True)
class Coin(Ball):
    """A ball's bounces, lower, of a coin that tumbles."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """A coin that turns over as it flies and lies flat as it lands, on a table."""
        brush = Brush(canvas, event, level=True)
        flight = arc(brush, event, 0.7)
        table = convex(brush.x, brush.y, [(-0.7, 0.5), (0.7, 0.5), (1.05, 0.95), (-1.05, 0.95)])
        brush.fill(table, (0.45, 0.27, 0.12))
        shadow = ellipse(brush.x, brush.y - 0.72, 0.4, 0.1)
        brush.fill(shadow, (0.05, 0.05, 0.05), 0.6)
        thin = (0.12 + 0.38 * np.minimum(flight.height / 0.25, 1)).astype(np.float32)
        lean = (0.9 * np.sin(np.pi * brush.cycle) * np.minimum(flight.height / 0.25, 1)).astype(
            np.float32
        )
        x, y = turn(brush.x, brush.y - 0.62 + 1.35 * flight.height, lean)
        brush.fill(ellipse(x, y, 0.42, 0.42 * thin / 0.5), event.colour)
        brush.fill(ellipse(x, y, 0.27, 0.27 * thin / 0.5), (0.75, 0.5, 0.05))


@dataclass(frozen=True, kw_only=True)
class Drop(Kind):
    """A drop from a tap: each beat a plop that rises in pitch."""

    def sound(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        """A bubble's tone that rises by half and dies, after the drop's tap on the surface."""
        times = np.arange(int(0.16 * rate_hz)) / rate_hz
        turns = np.cumsum(event.pitch_hz * (1 + 5 * times)) / rate_hz
        plop = np.sin(2 * np.pi * turns) * np.exp(-times / 0.035)
        tap = burst(rng, rate_hz, 3 * event.pitch_hz, 0.8, rise_s=0.0005, fall_s=0.003)
        plop[: tap.size] += 0.5 * tap / np.abs(tap).max()
        loudness = rng.uniform(0.6, 1.0, len(event.strikes))
        return convolve(at(event.strikes, samples, rate_hz, loudness), plop)

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """A tap, the drop that swells and falls from it, and rings on the water as it lands."""
        brush = Brush(canvas, event, level=True)
        x, y = brush.x, brush.y
        tap = union(
            box(x - 0.5, y + 0.72, 0.5, 0.15),
            box(x - 0.02, y + 0.6, 0.15, 0.25),
            box(x - 0.45, y + 0.92, 0.3, 0.07),
        )
        brush.fill(box(x, y - 0.78, 1.05, 0.25), WATER)
        since, until = (part.astype(np.float32) for part in _around(brush, event))
        for delay in (0.0, 0.15):
            age = np.maximum(since - delay, 0)
            width = 0.1 + 1.1 * age
            ripple = np.abs(ellipse(x, y - 0.68, width, 0.26 * width)) - np.float32(0.045)
            brush.fill(ripple, (1.0, 1.0, 1.0), np.clip(1 - age / 0.6, 0, 1) * (since > delay))
        fallen = 0.95 * np.clip(1 - until / 0.28, 0, 1) ** 2
        grown = np.clip(since / np.maximum(since + until, 1e-3) * 1.6, 0, 1)
        drop = ellipse(x, y + 0.28 - fallen, 0.15 * grown + 0.02, 0.2 * grown + 0.02)
        brush.fill(drop, event.colour)
        brush.fill(tap, (0.7, 0.72, 0.75))


def arc(brush: Brush, event: Event, top: float) -> Arc:
    """Flight from beat to beat on the parabolas that gravity prescribes."""
    before, after = _around(brush, event)
    # Height is g t1 t2 / 2; g is such that the highest arc of the event reaches the top.
    highest = np.diff(event.beats).max()
    height = (top * 4 * np.maximum(before * after, 0) / highest**2).astype(np.float32)
    return Arc(height, before, after)


def _around(brush: Brush, event: Event) -> tuple[Reals, Reals]:
    """Seconds since the latest beat and until the next, (t, 1, 1)."""
    beats, times = np.asarray(event.beats), brush.times_s
    which = np.clip(np.searchsorted(beats, times, side="right") - 1, 0, len(beats) - 2)
    return times - beats[which], beats[which + 1] - times
