"""Bird: one chirp and one beat of the wings each beat; it flies across."""

import numpy as np

from mmlib.sources.events.canvas import Brush, Canvas
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import disc, ellipse, stroke, union
from mmlib.sources.events.waves import Wave, at, convolve


def sound(event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """A short sweep in pitch at each beat, all alike, as of one bird."""
    length = rng.uniform(0.09, 0.18)
    times = np.arange(int(length * rate_hz)) / rate_hz
    slope, depth, trill = rng.uniform(-0.35, 0.35), rng.uniform(0, 0.12), rng.uniform(15, 45)
    pitch = event.pitch_hz * (
        1 + slope * (times / length - 0.5) + depth * np.sin(2 * np.pi * trill * times)
    )
    chirp = np.sin(2 * np.pi * np.cumsum(pitch) / rate_hz) * np.hanning(times.size) ** 0.7
    chirp += 0.15 * np.sin(4 * np.pi * np.cumsum(pitch) / rate_hz) * np.hanning(times.size)
    gains = rng.uniform(0.5, 1.0, len(event.strikes))
    return convolve(at(event.strikes, samples, rate_hz, gains), chirp)


def sight(canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
    """A bird in flight from the front: one beat of the wings each beat, beak open on the chirp."""
    brush = Brush(canvas, event)
    lift = np.cos(2 * np.pi * brush.cycle)
    x, y = np.abs(brush.x), brush.y - 0.1 * lift
    elbow, tip = (0.48, -0.12 - 0.32 * lift), (1.0, 0.08 - 0.75 * lift)
    wings = union(stroke(x, y, (0.1, 0.0), elbow, 0.18), stroke(x, y, elbow, tip, 0.11))
    brush.fill(wings, event.colour)
    brush.fill(union(ellipse(x, y - 0.08, 0.27, 0.42), disc(x, y + 0.34, 0.21)), event.colour)
    brush.fill(union(disc(x - 0.08, y + 0.36, 0.05), ellipse(x, y - 0.16, 0.1, 0.2)), event.accent)
    chirp = np.clip(1 - brush.since / 0.15, 0, 1) * brush.playing
    brush.fill(ellipse(x, y + 0.22, 0.05, 0.05 + 0.07 * chirp), (1.0, 0.75, 0.1))


KIND = Kind(
    sound=sound,
    sight=sight,
    hue=0.23,
    duration_s=(1.0, 2.6),
    interval_s=(0.22, 0.4),
    pitch_hz=(2200, 5200),
    jitter=0.15,
    speed=0.3,
)
