"""Siren: one sweep and one turn of the light each beat; pitch is the highest it reaches."""

import numpy as np

from mmlib.sources.events.canvas import Brush, Canvas
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import both, box, disc
from mmlib.sources.events.waves import Wave, span

RED = (1.0, 0.1, 0.1)
BLUE = (0.15, 0.3, 1.0)


def sound(event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """A tone that wails up and down, yelps or alternates, once each beat."""
    times = np.arange(samples) / rate_hz
    turn = event.cycle(times).astype(np.float64)
    form = rng.integers(3)
    wail, yelp = 0.5 - 0.5 * np.cos(2 * np.pi * turn), turn % 1
    high = (wail, yelp, 0.5 + 0.5 * np.tanh(8 * np.sin(2 * np.pi * turn)))[form]
    lowest = event.pitch_hz / rng.uniform(1.6, 2.4)
    phase = np.cumsum(lowest * (event.pitch_hz / lowest) ** high) / rate_hz
    tone = sum(gain * np.sin(2 * np.pi * k * phase) for k, gain in ((1, 1.0), (2, 0.4), (3, 0.35)))
    return np.asarray(tone * span(event, times, 0.05))


def sight(canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
    """A beacon whose two beams, red and blue, turn once each beat."""
    brush = Brush(canvas, event)
    x, y = brush.x, brush.y - 0.1
    angle = 2 * np.pi * brush.cycle
    radius = np.sqrt(x * x + y * y) + np.float32(1e-3)
    along = (x * np.cos(angle) + y * np.sin(angle)) / radius
    glow = np.clip(1.25 - radius, 0, 1)
    for colour, facing in ((RED, along), (BLUE, -along)):
        beam = np.clip(facing, 0, 1)
        brush.glaze((beam**4 * glow).astype(np.float32), colour, brush.playing)
    brush.fill(both(disc(x, y, 0.42), y - 0.25), event.accent)
    lit = np.cos(angle)[..., None].transpose(3, 0, 1, 2) >= 0
    lamp = np.where(lit, np.reshape(RED, (3, 1, 1, 1)), np.reshape(BLUE, (3, 1, 1, 1)))
    brush.fill(both(disc(x, y, 0.34), y - 0.2), lamp.astype(np.float32))
    brush.fill(box(x, y - 0.4, 0.55, 0.16), event.colour)


KIND = Kind(
    sound=sound,
    sight=sight,
    hue=0.61,
    duration_s=(1.4, 2.8),
    interval_s=(0.45, 1.3),
    pitch_hz=(800, 1700),
    speed=0.15,
)
