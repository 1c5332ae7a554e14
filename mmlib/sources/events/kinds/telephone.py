"""Telephone: one ring and its silence each beat."""

import numpy as np

from mmlib.runtime.arrays import Reals
from mmlib.sources.events.canvas import Brush, Canvas, turn
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import both, box, disc, ring, stroke, union
from mmlib.sources.events.waves import Wave


def sound(event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """Two tones that take turns twenty times a second, for as long as each ring lasts."""
    times = np.arange(samples) / rate_hz
    high = 0.5 + 0.5 * np.tanh(6 * np.sin(2 * np.pi * rng.uniform(8, 12) * times))
    pitch = event.pitch_hz * (1 + 0.26 * high)
    turns = np.cumsum(pitch) / rate_hz
    tone = sum(gain * np.sin(2 * np.pi * k * turns) for k, gain in ((1, 1.0), (2, 0.5), (3, 0.3)))
    rings = ringing(event.cycle(times)) * (times <= event.end_s)
    smooth = np.hanning(int(0.012 * rate_hz) | 1)
    return np.asarray(tone * np.convolve(rings, smooth / smooth.sum(), "same"))


def sight(canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
    """A dial telephone whose receiver jumps and lamp blinks while it rings."""
    brush = Brush(canvas, event)
    loud = ringing(brush.cycle)
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
    brush.fill(disc(x, y - 0.25, 0.12), (1.0, 0.9, 0.3), loud)
    wave = np.abs(disc(brush.x, brush.y + 0.4, 0.98 + 0.0 * loud)) - 0.045
    aside = both(wave, np.abs(brush.y + 0.4) - 0.5)
    brush.fill(aside, (1.0, 0.9, 0.3), loud)


def ringing(cycle: Reals) -> Reals:
    """1 while the telephone rings (the first 60 % of each beat), else 0."""
    return ((cycle >= 0) & (cycle % 1 < 0.6)).astype(np.float32)


KIND = Kind(
    sound=sound,
    sight=sight,
    hue=0.87,
    duration_s=(1.2, 2.8),
    interval_s=(0.5, 0.9),
    pitch_hz=(650, 1500),
)
