"""Mechanisms: one click each beat."""

from dataclasses import dataclass

import numpy as np

from mmlib.sources.events.canvas import Brush, Canvas, turn
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind, Range
from mmlib.sources.events.shapes import box, convex, disc, ring, stroke, union
from mmlib.sources.events.waves import (
    Wave,
    at,
    band_noise,
    burst,
    convolve,
    damped,
    harmonics,
    span,
)

STEEL = (0.8, 0.82, 0.86)


@dataclass(frozen=True, kw_only=True)
class Clicks(Kind):
    """Partials (ratio to the pitch, gain, fall in s) and a knock of noise, so loud as `knock`.

    Every second click is lower by a factor drawn from `lower`. A motor hums as loud as `motor`.
    """

    partials: tuple[tuple[float, float, float], ...]
    lower: Range = (1.0, 1.0)
    knock: float = 0.0
    motor: float = 0.0

    def sound(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        """Dry clicks over a motor's hum."""
        ratios, gains, falls_s = np.transpose(self.partials)
        out = np.zeros(samples)
        for first, pitch_hz in enumerate(
            (event.pitch_hz, event.pitch_hz * rng.uniform(*self.lower))
        ):
            length = int(6 * falls_s.max() * rate_hz)
            click = damped(pitch_hz * ratios, gains, falls_s, length, rate_hz)
            if self.knock:
                knock = burst(rng, rate_hz, 0.5 * pitch_hz, 0.8, rise_s=0.0005, fall_s=0.012)
                shared = min(knock.size, length)
                click[:shared] += self.knock * knock[:shared] / np.abs(knock).max()
            strikes = event.strikes[first::2]
            clicks = at(strikes, samples, rate_hz, [1.0 - 0.1 * first] * len(strikes))
            out += convolve(clicks, click)
        if self.motor:
            times = np.arange(samples) / rate_hz
            hum = harmonics(140 * rng.uniform(0.8, 1.2) * times, (1.0, 0.8, 0.6, 0.5, 0.3))
            hum += band_noise(rng, samples, rate_hz, 900, 1.0)
            out += self.motor * hum * span(event, times, 0.05)
        return out


@dataclass(frozen=True, kw_only=True)
class PendulumClock(Clicks):
    """A clock with a pendulum."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """A face over a pendulum, which is at an end of its swing at each beat."""
        brush = Brush(canvas, event)
        x, y = brush.x, brush.y
        swing = (0.55 * np.cos(np.pi * brush.cycle)).astype(np.float32)
        rod_x, rod_y = turn(x, y + 0.45, swing)
        brush.fill(stroke(rod_x, rod_y, (0.0, 0.0), (0.0, 1.2), 0.06), event.colour)
        brush.fill(disc(rod_x, rod_y - 1.2, 0.28), event.colour)
        brush.fill(disc(x, y + 0.5, 0.5), event.colour)
        brush.fill(disc(x, y + 0.5, 0.4), event.accent)
        minute, hour = rng.uniform(0, 2 * np.pi, 2)
        hands = union(
            stroke(x, y + 0.5, (0.0, 0.0), (0.3 * np.sin(minute), -0.3 * np.cos(minute)), 0.045),
            stroke(x, y + 0.5, (0.0, 0.0), (0.2 * np.sin(hour), -0.2 * np.cos(hour)), 0.06),
        )
        brush.fill(hands, event.colour)


@dataclass(frozen=True, kw_only=True)
class SewingMachine(Clicks):
    """A sewing machine."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """Its needle is down at each beat; its wheel turns, and a striped cloth runs through."""
        brush = Brush(canvas, event)
        x, y = brush.x * np.float32(rng.choice([-1.0, 1.0])), brush.y
        down = np.cos(np.pi * brush.cycle) ** 2
        brush.fill(box(x, y - 0.82, 1.0, 0.15), event.accent)
        machine = union(
            box(x - 0.05, y + 0.6, 0.75, 0.2),
            box(x - 0.55, y + 0.0, 0.22, 0.7),
            box(x + 0.62, y + 0.42, 0.2, 0.4),
        )
        brush.fill(machine, event.colour)
        brush.fill(box(x + 0.62, y + 0.05 - 0.3 * down, 0.06, 0.4), STEEL)
        wheel_x, wheel_y = turn(x - 0.75, y + 0.55, (np.pi * brush.cycle).astype(np.float32))
        brush.fill(ring(wheel_x, wheel_y, 0.24, 0.08), STEEL)
        brush.fill(box(wheel_x, wheel_y, 0.22, 0.05), STEEL)
        cloth = box(x + 0.35, y - 0.6, 0.65, 0.09)
        brush.fill(cloth, (0.95, 0.9, 0.85))
        bars = np.abs(((x + 0.25 * brush.cycle) * 3) % 1 - 0.5) * 0.33 - 0.06
        brush.fill(np.maximum(cloth, bars), (0.8, 0.1, 0.3))


@dataclass(frozen=True, kw_only=True)
class Hammer(Clicks):
    """A hammer and a nail."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """It comes down on the nail at each beat, and sparks fly."""
        brush = Brush(canvas, event)
        x, y = brush.x * np.float32(rng.choice([-1.0, 1.0])), brush.y
        brush.fill(box(x, y - 0.8, 1.0, 0.2), (0.55, 0.36, 0.18))
        brush.fill(
            union(box(x + 0.5, y - 0.42, 0.06, 0.2), box(x + 0.5, y - 0.25, 0.14, 0.05)), STEEL
        )
        lifted = (0.9 * np.abs(np.sin(np.pi * brush.cycle)) ** 0.8).astype(np.float32)
        arm_x, arm_y = turn(x - 0.56, y - 0.1, lifted)
        brush.fill(stroke(arm_x, arm_y, (0.1, 0.0), (-0.98, 0.0), 0.1), (0.8, 0.5, 0.2))
        head = convex(
            arm_x,
            arm_y,
            [(-1.21, -0.3), (-0.91, -0.3), (-0.88, 0.14), (-1.24, 0.14)],
        )
        brush.fill(head, event.colour)
        impact = np.exp(-np.maximum(brush.since, 0) / 0.08) * brush.playing
        sparks = [
            stroke(x, y, (-0.5 + 0.2 * a, 0.2 - 0.1 * b), (-0.5 + 0.42 * a, 0.2 - 0.35 * b), 0.05)
            for a, b in ((-1, 0.6), (1, 0.6), (-0.9, -0.4), (0.9, -0.4))
        ]
        brush.fill(union(*sparks), (1.0, 0.85, 0.3), impact)
