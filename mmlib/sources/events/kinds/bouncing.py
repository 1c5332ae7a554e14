"""Bouncing: the ball touches the ground at each beat."""

import numpy as np

from mmlib.sources.events.canvas import Brush, Canvas, turn
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import both, box, disc, ellipse, union
from mmlib.sources.events.waves import Wave, at, burst, convolve, damped


def sound(event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """A thud at each beat, the louder the longer the fall before it."""
    length = int(0.2 * rate_hz)
    thud = damped(
        event.pitch_hz * np.array([1.0, 1.9, 3.1]),
        [1.0, 0.5, 0.3],
        [0.05, 0.03, 0.015],
        length,
        rate_hz,
    )
    slap = burst(rng, rate_hz, 6 * event.pitch_hz, 0.8, rise_s=0.0005, fall_s=0.01)
    thud[: slap.size] += 0.6 * slap / np.abs(slap).max()
    falls = np.diff(event.beats)[:-1]
    return convolve(at(event.strikes, samples, rate_hz, falls / falls.max()), thud)


def sight(canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
    """A ball that touches the ground at each beat, on the parabolas that gravity prescribes."""
    brush = Brush(canvas, event, level=True)
    beats = np.asarray(event.beats)
    times = brush.times_s
    which = np.clip(np.searchsorted(beats, times, side="right") - 1, 0, len(beats) - 2)
    before, after = times - beats[which], beats[which + 1] - times
    # Height is g t1 t2 / 2; g is such that the highest arc of the event fills the picture's share.
    highest = np.diff(beats).max()
    height = (0.85 * 4 * np.maximum(before * after, 0) / highest**2).astype(np.float32)
    ground, radius = 0.9, 0.52
    x, y = brush.x, brush.y - (ground - radius) + height
    brush.fill(box(brush.x, brush.y - ground - 0.08, 1.0, 0.05), event.accent)
    shadow = ellipse(brush.x, brush.y - ground, 0.48 - 0.2 * height, 0.07)
    brush.fill(shadow, (0.05, 0.05, 0.05), 0.6)
    squash = np.clip(1 - height / 0.12, 0, 1) * 0.25
    y = y - squash * radius
    brush.fill(ellipse(x, y, radius * (1 + squash), radius * (1 - squash)), event.colour)
    seam_x, seam_y = turn(x, y, (1.5 * brush.cycle).astype(np.float32))
    seam = both(disc(x, y, radius * 0.9), union(np.abs(seam_x), np.abs(seam_y)) - 0.06)
    brush.fill(seam, event.accent)


KIND = Kind(
    sound=sound,
    sight=sight,
    hue=0.0,
    duration_s=(1.2, 2.8),
    interval_s=(0.3, 0.62),
    pitch_hz=(70, 190),
    growth=(0.8, 1.0),
    speed=0.12,
)
