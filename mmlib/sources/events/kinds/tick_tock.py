"""Tick-tock: ticks and tocks at the two ends of the pendulum's swing."""

import numpy as np

from mmlib.sources.events.canvas import Brush, Canvas, turn
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import disc, stroke, union
from mmlib.sources.events.waves import Wave, at, convolve, damped


def sound(event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """Dry clicks, high and low in turn."""
    length = int(0.05 * rate_hz)
    ratios, gains, falls_s = [1.0, 1.63, 2.3], [1.0, 0.7, 0.4], [0.009, 0.006, 0.004]
    tick = damped(event.pitch_hz * np.array(ratios), gains, falls_s, length, rate_hz)
    lower = event.pitch_hz * rng.uniform(0.6, 0.8)
    tock = damped(lower * np.array(ratios), gains, falls_s, length, rate_hz)
    ticks = at(event.strikes[0::2], samples, rate_hz, [1.0] * len(event.strikes[0::2]))
    tocks = at(event.strikes[1::2], samples, rate_hz, [0.9] * len(event.strikes[1::2]))
    return convolve(ticks, tick) + convolve(tocks, tock)


def sight(canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
    """A clock's face over a pendulum, which is at an end of its swing at each beat."""
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


KIND = Kind(
    sound=sound,
    sight=sight,
    hue=0.42,
    duration_s=(1.4, 2.8),
    interval_s=(0.22, 0.5),
    pitch_hz=(1500, 3200),
    tilt=0.02,
)
