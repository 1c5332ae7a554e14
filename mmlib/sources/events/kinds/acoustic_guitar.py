"""Acoustic guitar: one plucked note each beat."""

from itertools import pairwise

import numpy as np

from mmlib.sources.events.canvas import Brush, Canvas
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import both, box, disc, union
from mmlib.sources.events.waves import Wave


def sound(event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """Karplus-Strong notes of a scale, one a beat, each stopping the one before."""
    out = np.zeros(samples)
    edges = [*(int(strike * rate_hz) for strike in event.strikes), samples]
    for start, end in pairwise(edges):
        note = event.pitch_hz * 2 ** (rng.choice([0, 3, 5, 7, 10, 12]) / 12)
        length = min(end - start, samples - start)
        if length > 0:
            out[start : start + length] = _plucked(rng, note, length, rate_hz)
    return out


def sight(canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
    """A guitar whose string swings wide at each pluck and comes to rest."""
    brush = Brush(canvas, event)
    x, y = brush.x, brush.y
    body = union(disc(x, y - 0.5, 0.52), disc(x, y + 0.02, 0.38))
    neck = union(box(x, y + 0.55, 0.085, 0.45), box(x, y + 0.95, 0.13, 0.1))
    brush.fill(union(body, neck), event.colour)
    brush.fill(union(disc(x, y - 0.2, 0.2), box(x, y - 0.78, 0.2, 0.05)), event.accent)
    frets = both(box(x, y + 0.5, 0.085, 0.4), np.abs((y * 5) % 1 - 0.5) * 0.2 - 0.02)
    brush.fill(frets, event.accent, 0.6)
    # What an eye sees of a string that swings hundreds of times a second: the space that it sweeps.
    swing = 0.38 * np.exp(-brush.since / 0.3) * brush.playing
    reach = swing * np.sin(np.pi * np.clip((y + 0.95) / 1.7, 0, 1))
    inside = both(np.abs(x) - reach, box(x, y + 0.1, 1.0, 0.85))
    brush.fill(inside, event.accent, 0.35)
    string = both(np.abs(np.abs(x) - reach) - 0.025, box(x, y + 0.1, 1.0, 0.85))
    brush.fill(string, (1.0, 0.95, 0.75))


def _plucked(rng: np.random.Generator, pitch_hz: float, samples: int, rate_hz: int) -> Wave:
    """A plucked string (Karplus & Strong 1983), all periods at once.

    Each period is the one before through the two-point mean filter, less its phase lag, so period m
    is the first one with every partial's gain to the power m.
    """
    period = max(round(rate_hz / pitch_hz), 4)
    partials = np.arange(period // 2 + 1)
    pluck_at = rng.uniform(0.15, 0.3)
    first = np.fft.rfft(rng.uniform(-1, 1, period)) * np.abs(np.sin(np.pi * partials * pluck_at))
    gain = 0.996 * np.cos(np.pi * partials / period)
    first[0] = 0
    decay = np.maximum(gain, 1e-9) ** np.arange(-(-samples // period))[:, None]
    return np.fft.irfft(first * decay, period, axis=1).ravel()[:samples]


KIND = Kind(
    sound=sound,
    sight=sight,
    hue=0.08,
    duration_s=(1.2, 2.6),
    interval_s=(0.35, 0.8),
    pitch_hz=(90, 280),
    jitter=0.4,
    tilt=0.6,
)
