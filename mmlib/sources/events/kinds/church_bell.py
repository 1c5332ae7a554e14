"""Church bell: one stroke at each end of the swing."""

import numpy as np

from mmlib.sources.events.canvas import Brush, Canvas, turn
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import both, box, disc, stroke, union
from mmlib.sources.events.waves import Wave, at, convolve, damped


def sound(event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """Hum, prime, minor third, fifth, nominal and above, inharmonic; high partials die first."""
    ratios = np.array([0.5, 1.0, 1.2, 1.5, 2.0, 2.52, 3.01, 4.1, 5.4])
    ratios *= 1 + rng.normal(0, 0.006, ratios.size)
    gains = np.array([0.35, 0.7, 0.8, 0.3, 1.0, 0.5, 0.45, 0.3, 0.2])
    falls_s = rng.uniform(0.7, 1.3) / np.sqrt(ratios)
    grain = damped(event.pitch_hz * ratios, gains, falls_s, min(samples, 2 * rate_hz), rate_hz)
    strikes = at(event.strikes, samples, rate_hz, rng.uniform(0.7, 1.0, len(event.strikes)))
    return convolve(strikes, grain)


def sight(canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
    """A bell that swings about its yoke; the clapper meets the rim at each end of the swing."""
    brush = Brush(canvas, event)
    swing = np.cos(np.pi * brush.cycle)
    brush.fill(box(brush.x, brush.y + 0.97, 0.6, 0.07), event.accent)
    x, y = turn(brush.x, brush.y + 0.92, (0.5 * swing).astype(np.float32))
    depth = np.clip((y - 0.08) / 1.3, 0, 1)
    # The dome rises as a circle and the waist flares like a bell's.
    half_width = 0.36 * np.sqrt(np.clip(depth / 0.25, 0, 1)) + 0.42 * depth**3
    clapper = 0.52 * swing
    brush.fill(
        union(disc(x - clapper, y - 1.5, 0.15), stroke(x, y, (0.0, 0.9), (clapper, 1.45), 0.05)),
        event.accent,
    )
    brush.fill(both((np.abs(x) - half_width) * 0.7, np.abs(y - 0.73) - 0.65), event.colour)
    brush.fill(box(x, y - 1.27, 0.72, 0.06), event.accent)


KIND = Kind(
    sound=sound,
    sight=sight,
    hue=0.15,
    duration_s=(1.4, 2.8),
    interval_s=(0.5, 0.9),
    pitch_hz=(170, 480),
)
