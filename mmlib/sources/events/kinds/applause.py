"""Applause: one clap each beat, and a crowd's claps in between."""

import numpy as np

from mmlib.sources.events.canvas import Brush, Canvas, turn
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import box, ellipse, stroke, union
from mmlib.sources.events.waves import Wave, at, burst, convolve


def sound(event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """Claps of noise at the beats, over those of a crowd."""
    grain = burst(rng, rate_hz, event.pitch_hz, 0.7, rise_s=0.001, fall_s=0.012)
    lead = at(event.strikes, samples, rate_hz, [1.0] * len(event.strikes))
    number = rng.poisson(45 * (event.end_s - event.onset_s))
    crowd = rng.uniform(event.onset_s, event.end_s, number)
    claps = lead + at(crowd, samples, rate_hz, rng.uniform(0.05, 0.3, number))
    return convolve(claps, grain)


def sight(canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
    """Two hands that meet at each beat, with sleeves, and lines of impact as they meet."""
    brush = Brush(canvas, event)
    gap = 0.05 + 0.4 * np.abs(np.sin(np.pi * brush.cycle))
    # One hand, mirrored: distance from the vertical axis, less the gap, and leaning outwards.
    x, y = turn(np.abs(brush.x) - gap - 0.2, brush.y, np.float32(0.25))
    sleeve = box(x, y - 0.75, 0.26, 0.25)
    hand = union(
        ellipse(x, y - 0.12, 0.25, 0.48),
        stroke(x, y, (-0.1, -0.1), (-0.14, -0.66), 0.1),
        stroke(x, y, (0.1, -0.1), (0.12, -0.7), 0.1),
        stroke(x, y, (0.15, 0.2), (0.4, -0.15), 0.09),
    )
    brush.fill(sleeve, event.accent)
    brush.fill(hand, event.colour)
    clap = np.clip(1 - brush.since / 0.1, 0, 1) * brush.playing
    x, y = np.abs(brush.x), brush.y + 0.65
    sparks = union(
        stroke(x, y, (0.0, -0.12), (0.0, -0.4), 0.05),
        stroke(x, y, (0.14, -0.05), (0.35, -0.25), 0.05),
    )
    brush.fill(sparks, event.accent, clap)


KIND = Kind(
    sound=sound,
    sight=sight,
    hue=0.79,
    duration_s=(1.2, 2.8),
    interval_s=(0.2, 0.32),
    pitch_hz=(900, 2000),
    jitter=0.1,
)
