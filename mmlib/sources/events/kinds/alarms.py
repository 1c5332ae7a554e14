"""Alarms: one ring and its silence each beat."""

from dataclasses import dataclass

import numpy as np

from mmlib.runtime.arrays import Reals
from mmlib.sources.events.canvas import Brush, Canvas, turn
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import both, box, disc, ring, stroke, union
from mmlib.sources.events.waves import Wave, harmonics

YELLOW = (1.0, 0.9, 0.3)


@dataclass(frozen=True, kw_only=True)
class Alarm(Kind):
    """It rings for the first share `on` of each beat, in so many `pulses`, with harmonics `gains`.

    The tone alternates about ten times a second with one higher by the share `warble` of it.
    """

    on: float
    pulses: int = 1
    warble: float = 0.0
    gains: tuple[float, ...] = (1.0, 0.5, 0.3)

    def sound(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        """The tone for as long as each ring lasts."""
        times = np.arange(samples) / rate_hz
        high = 0.5 + 0.5 * np.tanh(6 * np.sin(2 * np.pi * rng.uniform(8, 12) * times))
        turns = np.cumsum(event.pitch_hz * (1 + self.warble * high)) / rate_hz
        rings = self.ringing(event.cycle(times)) * (times <= event.end_s)
        smooth = np.hanning(int(0.012 * rate_hz) | 1)
        return harmonics(turns, self.gains) * np.convolve(rings, smooth / smooth.sum(), "same")

    def ringing(self, cycle: Reals) -> Reals:
        """1 while it rings, else 0."""
        share = cycle % 1 / self.on
        gap = (self.pulses > 1) & (share * self.pulses % 1 > 0.6)
        return ((cycle >= 0) & (share < 1) & ~gap).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Telephone(Alarm):
    """A telephone with a dial."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """Its receiver jumps and its lamp blinks while it rings."""
        brush = Brush(canvas, event)
        loud = self.ringing(brush.cycle)
        shake = 0.14 * loud * np.sin(2 * np.pi * 9 * brush.times_s)
        x, y = turn(brush.x, brush.y, shake.astype(np.float32))
        side = 0.45 + 0.35 * np.clip((y + 0.2) / 0.9, 0, 1)
        brush.fill(both(np.abs(x) - side, np.abs(y - 0.28) - 0.5), event.colour)
        brush.fill(ring(x, y - 0.25, 0.26, 0.07), event.accent)
        raised = y + 0.48 + 0.14 * loud
        handset = union(
            stroke(x, raised, (-0.6, 0.0), (0.6, 0.0), 0.12),
            box(np.abs(x) - 0.66, raised - 0.14, 0.17, 0.17),
        )
        brush.fill(handset, event.colour)
        brush.fill(disc(x, y - 0.25, 0.12), YELLOW, loud)
        wave = np.abs(disc(brush.x, brush.y + 0.4, 0.98)) - 0.045
        aside = both(wave, np.abs(brush.y + 0.4) - 0.5)
        brush.fill(aside, YELLOW, loud)


@dataclass(frozen=True, kw_only=True)
class AlarmClock(Alarm):
    """A clock with two bells."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """It hops on its legs, and its hammer beats between the bells, while it rings."""
        brush = Brush(canvas, event)
        loud = ((brush.cycle >= 0) & (brush.cycle % 1 < self.on)).astype(np.float32)
        beat = np.sin(2 * np.pi * 11 * brush.times_s).astype(np.float32) * loud
        x, y = turn(brush.x, brush.y - 0.05 + 0.08 * np.abs(beat), 0.12 * beat)
        legs = stroke(np.abs(x), y, (0.3, 0.5), (0.6, 0.92), 0.09)
        brush.fill(legs, event.accent)
        bells = both(disc(np.abs(x) - 0.5, y + 0.6, 0.36), y - np.abs(x) * 0.6 + 0.55)
        brush.fill(bells, YELLOW)
        brush.fill(stroke(x, y, (0.0, -0.5), (0.16 * beat, -0.92), 0.08), event.accent)
        brush.fill(disc(x, y - 0.12, 0.62), event.colour)
        brush.fill(disc(x, y - 0.12, 0.47), (1.0, 1.0, 0.95))
        hour = rng.uniform(0, 2 * np.pi)
        hands = union(
            stroke(x, y - 0.12, (0.0, 0.0), (0.0, -0.36), 0.05),
            stroke(x, y - 0.12, (0.0, 0.0), (0.24 * np.sin(hour), -0.24 * np.cos(hour)), 0.06),
        )
        brush.fill(hands, (0.05, 0.05, 0.05))


@dataclass(frozen=True, kw_only=True)
class Detector(Alarm):
    """A smoke detector."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """A flat case under a ceiling, over rising smoke; a red lamp and waves while it sounds."""
        brush = Brush(canvas, event, level=True)
        x, y = brush.x, brush.y
        loud = self.ringing(brush.cycle)
        brush.fill(box(x, y + 0.9, 1.05, 0.14), (0.75, 0.72, 0.65))
        for side in (-0.45, 0.05, 0.5):
            curl = side + 0.12 * np.sin(5 * y + 3 * brush.times_s + 6 * side)
            smoke = both(np.abs(x - curl) - 0.09 - 0.05 * y, np.abs(y - 0.5) - 0.5)
            brush.fill(smoke.astype(np.float32), (0.6, 0.6, 0.62), 0.55)
        case = union(box(x, y + 0.68, 0.62, 0.1), both(disc(x, y + 0.85, 0.62), -y - 0.68))
        brush.fill(case, event.colour)
        brush.fill(
            both(np.abs(x * 6 % 1 - 0.5) * 0.16 - 0.03, box(x, y + 0.5, 0.42, 0.07)), event.accent
        )
        brush.fill(disc(x, y + 0.36, 0.14), (1.0, 0.05, 0.05), 0.25 + 0.75 * loud)
        for radius in (0.35, 0.6, 0.85):
            wave = both(ring(x, y + 0.4, radius, 0.05), np.abs(x) - 0.2 - y)
            brush.fill(wave, (1.0, 0.25, 0.15), loud)
