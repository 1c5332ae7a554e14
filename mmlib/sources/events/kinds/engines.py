"""Engines: one throb each beat, as a blade passes, a head turns or a throttle opens."""

from dataclasses import dataclass

import numpy as np

from mmlib.sources.events.canvas import Brush, Canvas, turn
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import box, convex, disc, ellipse, ring, stroke, union
from mmlib.sources.events.waves import Wave, band_noise, harmonics, span


@dataclass(frozen=True, kw_only=True)
class Engine(Kind):
    """Noise about the pitch and, so loud as `hiss`, three octaves up; and a tone of `gains`.

    All of it throbs by the share `throb` at each beat, and the tone's pitch, `tone` times the
    kind's, rises by the share `rev` of itself over each beat.
    """

    throb: float
    noise: float = 1.0
    hiss: float = 0.25
    gains: tuple[float, ...] = (1.0,)
    tone: float = 1.0
    tone_gain: float = 0.06
    rev: float = 0.0

    def sound(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        """Low noise that throbs, under a tone."""
        times = np.arange(samples) / rate_hz
        cycle = event.cycle(times).astype(np.float64)
        throb = 1 - self.throb + self.throb * (0.5 + 0.5 * np.cos(2 * np.pi * cycle)) ** 3
        low = band_noise(rng, samples, rate_hz, event.pitch_hz, 1.0)
        high = band_noise(rng, samples, rate_hz, 8 * event.pitch_hz, 0.8)
        pitch = event.pitch_hz * self.tone * rng.uniform(0.9, 1.1) * (1 + self.rev * (cycle % 1))
        tone = harmonics(np.cumsum(pitch) / rate_hz, self.gains)
        made = (self.noise * low + self.hiss * high) * throb
        steady = 1.0 if self.throb > 0.9 else throb
        return np.asarray((made + self.tone_gain * tone * steady) * span(event, times, 0.1))


@dataclass(frozen=True, kw_only=True)
class Helicopter(Engine):
    """A rotor above."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """Seen from the side; a blade passes at each beat."""
        brush = Brush(canvas, event)
        x, y = brush.x * np.float32(rng.choice([-1.0, 1.0])), brush.y
        hull = union(
            ellipse(x + 0.25, y - 0.15, 0.62, 0.46),
            stroke(x, y, (0.1, 0.05), (0.92, -0.05), 0.12),
            box(x - 0.92, y + 0.12, 0.08, 0.24),
            box(x + 0.2, y + 0.35, 0.05, 0.2),
            box(x + 0.25, y - 0.66, 0.5, 0.05),
            box(x + 0.25, y - 0.5, 0.03, 0.18),
        )
        brush.fill(hull, event.colour)
        brush.fill(ellipse(x + 0.5, y - 0.08, 0.26, 0.26), event.accent)
        blade = 0.25 + 0.62 * np.abs(np.cos(np.pi * brush.cycle))
        brush.fill(box(x + 0.2, y + 0.55, 0.87, 0.09), event.colour, 0.3)
        brush.fill(box(x + 0.2, y + 0.55, blade, 0.08), event.colour)
        spin = turn(x - 0.88, y + 0.12, (2.2 * np.pi * brush.cycle).astype(np.float32))
        brush.fill(box(*spin, 0.2, 0.06), event.accent)


@dataclass(frozen=True, kw_only=True)
class Aeroplane(Engine):
    """Two propellers."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """Seen from below as it crosses, rocking its wings at each beat."""
        brush = Brush(canvas, event)
        x = brush.x * np.float32(np.copysign(1.0, -event.drift[0]))
        # A wing that rocks away from the eye is foreshortened.
        y = np.abs(brush.y) / (0.85 + 0.15 * np.cos(2 * np.pi * brush.cycle))
        wings = union(
            convex(x, y, [(-0.25, 0.0), (0.25, 0.0), (0.5, 0.95), (0.22, 0.95)]),
            convex(x, y, [(0.62, 0.0), (0.9, 0.0), (1.0, 0.42), (0.85, 0.42)]),
            ellipse(x, brush.y, 0.98, 0.16),
        )
        brush.fill(wings, event.colour)
        brush.fill(ellipse(x + 0.05, y - 0.42, 0.26, 0.09), event.accent)
        blade = 0.26 * np.abs(np.cos(11 * np.pi * brush.times_s + 0.5)).astype(np.float32)
        brush.fill(box(x + 0.32, y - 0.42, 0.035, 0.06 + blade), (0.9, 0.9, 0.9))
        brush.fill(ellipse(x + 0.75, y, 0.08, 0.1), event.accent)


@dataclass(frozen=True, kw_only=True)
class Fan(Engine):
    """A fan on a stand."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """A cage of turning blades that faces one side at a beat and the other at the next."""
        brush = Brush(canvas, event)
        swing = 0.22 * np.cos(np.pi * brush.cycle)
        brush.fill(
            union(
                box(brush.x, brush.y - 0.55, 0.07, 0.4), box(brush.x, brush.y - 0.95, 0.45, 0.07)
            ),
            event.accent,
        )
        x, y = brush.x - swing, brush.y + 0.25
        brush.fill(disc(x, y, 0.68), (0.08, 0.08, 0.1))
        angle = 2 * np.pi * 3.3 * brush.times_s
        blades = []
        for k in range(3):
            blade_x, blade_y = turn(x, y, (angle + 2 * np.pi * k / 3).astype(np.float32))
            blades.append(ellipse(blade_x - 0.34, blade_y, 0.3, 0.17))
        brush.fill(union(*blades), event.colour)
        brush.fill(union(ring(x, y, 0.68, 0.06), ring(x, y, 0.4, 0.025)), (0.9, 0.92, 0.95))
        brush.fill(disc(x, y, 0.13), event.accent)


@dataclass(frozen=True, kw_only=True)
class Motorcycle(Engine):
    """Two wheels and a throttle."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """It rears up as the throttle opens and coughs smoke at each beat."""
        brush = Brush(canvas, event)
        x, y = brush.x * np.float32(rng.choice([-1.0, 1.0])), brush.y
        rear = 0.35 * np.sin(np.pi * np.clip(brush.cycle % 1, 0, 1)) * brush.playing
        age = np.maximum(brush.since, 0)
        puff = disc(x - 0.7 - 0.2 * age, y - 0.2 + 0.6 * age, 0.1 + 0.25 * age)
        brush.fill(puff, (0.7, 0.7, 0.7), 0.8 * np.clip(1 - age / 0.7, 0, 1) * brush.playing)
        x, y = turn(x - 0.55, y - 0.5, rear.astype(np.float32))
        x, y = x + 0.55, y + 0.5
        wheel_x = np.abs(x) - 0.55
        brush.fill(disc(wheel_x, y - 0.5, 0.42), (0.05, 0.05, 0.05))
        brush.fill(ring(wheel_x, y - 0.5, 0.24, 0.05), (0.85, 0.85, 0.85))
        frame = union(
            stroke(x, y, (-0.55, 0.5), (-0.3, -0.3), 0.07),
            stroke(x, y, (-0.3, -0.3), (-0.12, -0.6), 0.06),
            box(x - 0.05, y - 0.32, 0.24, 0.2),
        )
        brush.fill(frame, (0.75, 0.75, 0.78))
        tank = union(
            ellipse(x + 0.08, y + 0.08, 0.32, 0.2), stroke(x, y, (0.3, 0.0), (0.8, -0.12), 0.12)
        )
        brush.fill(tank, event.colour)
        brush.fill(disc(x + 0.38, y + 0.3, 0.14), (1.0, 1.0, 0.6))
