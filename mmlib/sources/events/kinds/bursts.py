"""Bursts: one bang each beat."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mmlib.runtime.arrays import Reals
from mmlib.sources.events.canvas import Brush, Canvas, turn
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import box, disc, ellipse, stroke, union
from mmlib.sources.events.waves import Wave, at, band_noise, burst, convolve

FLASH = (1.0, 1.0, 0.85)
_SPARKS = 90
_CLIMB_S = 0.35


@dataclass(frozen=True, kw_only=True)
class Burst(Kind):
    """A thump about 1.5 times the pitch under a crack about `crack_hz`, then a tail.

    `thump_s` and `crack_s` are falls to 1/e, `crack` the crack's gain. The tail is the crackle of
    sparks, so loud as `crackle`, or a roll of `roll_s`.
    """

    thump_s: float
    crack: float
    crack_s: float
    crack_hz: float = 1500.0
    crackle: float = 0.0
    roll_s: float = 0.0

    def sound(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        """A bang at each beat and its tail."""
        strikes = len(event.strikes)
        times = np.arange(int(min(7 * max(self.thump_s, self.crack_s), 2.0) * rate_hz)) / rate_hz
        thump = band_noise(rng, times.size, rate_hz, 1.5 * event.pitch_hz, 1.0)
        if self.roll_s:
            # A roll comes and goes: the thump is heard again from farther and farther away.
            thump *= 1 + 0.8 * np.sin(2 * np.pi * rng.uniform(2.5, 5) * times + rng.uniform(0, 6))
        crack = band_noise(rng, times.size, rate_hz, self.crack_hz, 1.5) * np.exp(
            -times / self.crack_s
        )
        grain = thump * np.exp(-times / self.thump_s) + self.crack * crack
        if self.roll_s:
            grain *= 1 - np.exp(-times / self.roll_s)
        bangs = convolve(at(event.strikes, samples, rate_hz, [1.0] * strikes), grain)
        bangs /= np.abs(bangs).max() + 1e-9
        return bangs + self._sparks(event, rng, samples, rate_hz) if self.crackle else bangs

    def _sparks(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        delays = rng.exponential(0.25, (len(event.strikes), 40)) + 0.08
        pops = (np.asarray(event.strikes)[:, None] + delays).ravel()
        click = burst(rng, rate_hz, 3500, 0.7, rise_s=0.0005, fall_s=0.004)
        gains = rng.uniform(0.3, 1.0, pops.size) * np.exp(-delays.ravel() / 0.5)
        crackle = convolve(at(pops, samples, rate_hz, gains), click)
        return np.asarray(crackle * self.crackle / (np.abs(crackle).max() + 1e-9))


@dataclass(frozen=True, kw_only=True)
class Fireworks(Burst):
    """Shells that burst in the sky."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """Shells that rise, burst at the beats into sparks that spread, sink and go out."""
        brush = Brush(canvas, event, reach=1.3)
        glow = [0.4 + 0.6 * level for level in event.colour]
        for strike in event.strikes:
            middle_x, middle_y = rng.uniform(-0.15, 0.15, 2).tolist()
            x, y = brush.x - middle_x, brush.y - middle_y
            age = (brush.times_s - strike).astype(np.float32)
            climbing = (age > -_CLIMB_S) & (age < 0)
            shell = disc(x, y + age / _CLIMB_S, 0.09)
            brush.fill(shell, FLASH, climbing.astype(np.float32))
            smoke = 0.9 * (1 - np.exp(-np.maximum(age, 0) / 0.18)) - np.sqrt(x * x + y * y)
            lit = 0.8 * np.exp(-np.maximum(age, 0) / 0.45) * (age >= 0)
            brush.glaze(np.clip(smoke / 0.3, 0, 1), event.colour, lit)
            brush.glaze(_sparks(brush, age[:, 0], (middle_x, middle_y), rng), glow)
            brush.fill(disc(x, y, 0.35), FLASH, np.exp(-age / 0.06) * (age >= 0))


@dataclass(frozen=True, kw_only=True)
class MachineGun(Burst):
    """A gun on a tripod."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """It recoils at each shot, with a flash before its muzzle and a tracer in flight."""
        brush = Brush(canvas, event)
        way = np.float32(rng.choice([-1.0, 1.0]))
        shot = np.exp(-np.maximum(brush.since, 0) / 0.06) * brush.playing
        x, y = brush.x * way + 0.06 * shot, brush.y
        legs = union(
            stroke(x, y, (-0.35, 0.1), (-0.75, 0.95), 0.07),
            stroke(x, y, (-0.35, 0.1), (0.05, 0.95), 0.07),
            stroke(x, y, (-0.35, 0.1), (-0.35, 0.95), 0.06),
        )
        brush.fill(legs, event.accent)
        gun = union(
            box(x + 0.45, y - 0.02, 0.4, 0.17),
            box(x - 0.2, y + 0.06, 0.45, 0.07),
            box(x + 0.88, y - 0.08, 0.12, 0.12),
        )
        brush.fill(gun, event.colour)
        flame_x, flame_y = x - 0.4, y + 0.06
        star = np.abs(flame_x - 0.28) / 0.5 + np.abs(flame_y) / 0.22 - 1
        star = np.minimum(star, np.abs(flame_x - 0.28) / 0.16 + np.abs(flame_y) / 0.5 - 1)
        brush.fill(0.2 * star, (1.0, 0.8, 0.2), 0.35 + 0.65 * shot)
        brush.fill(disc(flame_x - 0.25, flame_y, 0.1), FLASH, shot)


@dataclass(frozen=True, kw_only=True)
class Balloon(Burst):
    """A balloon, and another, and another."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """It swells on its string until it bursts at the beat, into shreds."""
        brush = Brush(canvas, event)
        share = np.mod(brush.cycle, 1).astype(np.float32)
        radius = 0.3 + 0.42 * share
        x, y = brush.x, brush.y + 0.2
        brush.fill(stroke(x, y, (0.0, 0.2), (0.0, 1.15), 0.035), event.accent)
        brush.fill(
            union(ellipse(x, y, radius, 1.12 * radius), box(x, y - 1.18 * radius, 0.07, 0.06)),
            event.colour,
        )
        brush.fill(disc(x + 0.4 * radius, y + 0.4 * radius, 0.2 * radius), (1.0, 1.0, 1.0), 0.8)
        age = np.maximum(brush.since, 0)
        there = np.clip(1.3 - age / 0.22, 0, 1) * brush.playing
        shreds = []
        for k in range(8):
            out_x, out_y = turn(x, y, np.float32(np.pi / 4 * k + 0.3))
            shreds.append(ellipse(out_x - 0.55 - 1.2 * np.minimum(age, 0.3), out_y, 0.16, 0.08))
        brush.fill(union(*shreds), event.colour, there)
        brush.fill(disc(x, y, 0.5), FLASH, np.exp(-age / 0.05) * brush.playing)


@dataclass(frozen=True, kw_only=True)
class Lightning(Burst):
    """A thundercloud."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """A dark cloud, lit at each beat by a bolt that afterglows."""
        brush = Brush(canvas, event)
        glow = np.exp(-np.maximum(brush.since, 0) / 0.35) * brush.playing
        side = rng.uniform(0.25, 0.5, 5) * [1, -1, 1, -1, 1]
        bends = [(float(side[k]), -0.45 + 0.34 * k) for k in range(5)]
        x, y = brush.x, brush.y
        bolt = union(*(stroke(x, y, a, b, 0.13) for a, b in pairwise(bends)))
        brush.glaze(np.clip(0.9 - np.sqrt(x * x + y * y), 0, 1), (0.75, 0.8, 1.0), 0.9 * glow)
        brush.fill(bolt, (1.0, 0.95, 0.35), 0.25 + 0.75 * glow)
        cloud = union(
            ellipse(x, y + 0.55, 0.98, 0.26),
            disc(x + 0.45, y + 0.65, 0.32),
            disc(x - 0.1, y + 0.72, 0.36),
            disc(x - 0.6, y + 0.6, 0.28),
        )
        brush.fill(cloud, event.colour)


def _sparks(
    brush: Brush, age: Reals, middle: tuple[float, float], rng: np.random.Generator
) -> Reals:
    """Cover of a shell's sparks, each with a short tail; `age` (t, 1) in seconds since it burst."""
    angle = rng.uniform(0, 2 * np.pi, (_SPARKS, 1)).astype(np.float32)
    speed = np.sqrt(rng.uniform(0.1, 1.0, (_SPARKS, 1))).astype(np.float32)
    trail = np.maximum(age[:, :, None] - np.array([0, 0.03, 0.06], np.float32), 0)
    spread = speed * (1 - np.exp(-trail / 0.18))
    flicker = 0.75 + 0.25 * np.sin(rng.uniform(20, 60, (_SPARKS, 1)).astype(np.float32) * trail)
    weight = np.exp(-trail / 0.5) * flicker * (trail > 0)
    shape = (len(age), -1)
    return brush.specks(
        (middle[0] + np.cos(angle) * spread).reshape(shape),
        (middle[1] + np.sin(angle) * spread + 0.3 * trail**2).reshape(shape),
        weight.reshape(shape),
        spread=0.5,
    )
