"""Fireworks: one shell each beat."""

import numpy as np

from mmlib.sources.events.canvas import Brush, Canvas
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import disc
from mmlib.sources.events.waves import Wave, at, band_noise, burst, convolve


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
    """Shells that burst at the beats into sparks, which spread, sink, flicker and go out."""
    brush = Brush(canvas, event, reach=1.2)
    for strike in event.strikes:
        middle = rng.uniform(-0.3, 0.3, 2)
        angle, speed = rng.uniform(0, 2 * np.pi, 70), np.sqrt(rng.uniform(0.15, 1.0, 70))
        hue = rng.dirichlet([0.35, 0.35, 0.35])
        colour = 0.35 + 0.65 * hue / hue.max()
        # Each spark with the short tail that it leaves.
        age = (brush.times_s[:, 0] - strike)[:, :, None] - np.array([0, 0.03, 0.06, 0.09])
        spread = 0.95 * (1 - np.exp(-np.maximum(age, 0) / 0.22))
        x = middle[0] + np.cos(angle)[:, None] * speed[:, None] * spread
        y = middle[1] + np.sin(angle)[:, None] * speed[:, None] * spread + 0.35 * age**2
        flicker = 0.7 + 0.3 * np.sin(rng.uniform(20, 60, (70, 1)) * age)
        weight = np.where(age >= 0, np.exp(-np.maximum(age, 0) / 0.4), 0) * flicker
        shape = (len(age), -1)
        cover = brush.specks(
            x.reshape(shape).astype(np.float32),
            y.reshape(shape).astype(np.float32),
            weight.reshape(shape).astype(np.float32),
        )
        brush.glaze(cover, colour)
        flash = np.exp(-((brush.times_s - strike - 0.03) ** 2) / 0.002)
        start = brush.times_s >= strike
        brush.fill(
            disc(brush.x - middle[0], brush.y - middle[1], 0.3).astype(np.float32),
            (1.0, 1.0, 0.9),
            flash * start,
        )
        rise = np.clip((brush.times_s - strike) / 0.35 + 1, 0, 1)
        climb = (brush.times_s < strike) & (brush.times_s > strike - 0.35)
        rocket = disc(brush.x - middle[0], brush.y - middle[1] - 1.0 * (1 - rise), 0.07)
        brush.fill(rocket.astype(np.float32), (1.0, 0.85, 0.5), climb.astype(np.float32))


KIND = Kind(
    sound=sound,
    sight=sight,
    duration_s=(1.4, 2.6),
    interval_s=(0.55, 1.1),
    pitch_hz=(55, 140),
    jitter=0.4,
    scale=1.1,
)
