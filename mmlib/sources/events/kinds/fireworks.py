"""Fireworks: one shell each beat."""

import numpy as np

from mmlib.runtime.arrays import Reals
from mmlib.sources.events.canvas import Brush, Canvas
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import disc
from mmlib.sources.events.waves import Wave, at, band_noise, burst, convolve

FLASH = (1.0, 1.0, 0.85)
_SPARKS = 90
_CLIMB_S = 0.35


def sound(event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """A bang at each beat, then the crackle of its sparks."""
    times = np.arange(int(0.9 * rate_hz)) / rate_hz
    thump = band_noise(rng, times.size, rate_hz, 1.5 * event.pitch_hz, 1.0) * np.exp(-times / 0.13)
    crack = band_noise(rng, times.size, rate_hz, 1500, 1.5) * np.exp(-times / 0.035)
    bangs = convolve(
        at(event.strikes, samples, rate_hz, [1.0] * len(event.strikes)), thump + 0.7 * crack
    )
    delays = rng.exponential(0.25, (len(event.strikes), 40)) + 0.08
    pops = (np.asarray(event.strikes)[:, None] + delays).ravel()
    click = burst(rng, rate_hz, 3500, 0.7, rise_s=0.0005, fall_s=0.004)
    gains = rng.uniform(0.3, 1.0, pops.size) * np.exp(-delays.ravel() / 0.5)
    crackle = convolve(at(pops, samples, rate_hz, gains), click)
    crackle *= 0.35 / (np.abs(crackle).max() + 1e-9)
    return np.asarray(bangs / (np.abs(bangs).max() + 1e-9) + crackle)


def sight(canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
    """Shells that rise, burst at the beats into sparks, which spread, sink, flicker and go out."""
    brush = Brush(canvas, event, reach=1.2)
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


KIND = Kind(
    sound=sound,
    sight=sight,
    hue=0.7,
    duration_s=(1.4, 2.6),
    interval_s=(0.55, 1.1),
    pitch_hz=(55, 140),
    jitter=0.4,
    scale=1.1,
)
