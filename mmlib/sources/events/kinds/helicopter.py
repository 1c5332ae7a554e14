"""Helicopter: one pass of a rotor blade each beat."""

import numpy as np

from mmlib.sources.events.canvas import Brush, Canvas, turn
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import box, ellipse, stroke, union
from mmlib.sources.events.waves import Wave, band_noise, span


def sound(event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """Low noise that throbs at each blade's pass, under a turbine's whine."""
    times = np.arange(samples) / rate_hz
    throb = (0.5 + 0.5 * np.cos(2 * np.pi * event.cycle(times))) ** 3
    low = band_noise(rng, samples, rate_hz, event.pitch_hz, 1.0)
    high = band_noise(rng, samples, rate_hz, 8 * event.pitch_hz, 0.8)
    whine = np.sin(2 * np.pi * rng.uniform(12, 18) * event.pitch_hz * times)
    blades = low * (0.06 + throb) + 0.25 * high * (0.1 + throb)
    return np.asarray((blades + 0.06 * whine) * span(event, times, 0.1))


def sight(canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
    """A helicopter seen from the side; a blade passes at each beat."""
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
    blade = 0.25 + 0.75 * np.abs(np.cos(np.pi * brush.cycle))
    brush.fill(box(x + 0.2, y + 0.55, 1.0, 0.09), event.colour, 0.3)
    brush.fill(box(x + 0.2, y + 0.55, blade, 0.08), event.colour)
    spin = turn(x - 0.92, y + 0.12, (2.2 * np.pi * brush.cycle).astype(np.float32))
    brush.fill(box(*spin, 0.3, 0.05), event.accent)


KIND = Kind(
    sound=sound,
    sight=sight,
    hue=0.32,
    duration_s=(1.4, 2.8),
    interval_s=(0.12, 0.2),
    pitch_hz=(120, 420),
    speed=0.15,
)
