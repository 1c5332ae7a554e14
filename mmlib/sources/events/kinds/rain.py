"""Rain: a gust each beat."""

import numpy as np

from mmlib.runtime.arrays import Reals
from mmlib.sources.events.canvas import Brush, Canvas
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import disc, ellipse, union
from mmlib.sources.events.waves import Wave, at, band_noise, convolve, damped, span


def sound(event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """A hiss that swells with the gusts, and drops."""
    times = np.arange(samples) / rate_hz
    strength = gust(event.cycle(times)).astype(np.float64) ** 2
    hiss = band_noise(rng, samples, rate_hz, event.pitch_hz, 1.3) * strength
    number = rng.poisson(90 * (event.end_s - event.onset_s))
    drops = at(
        rng.uniform(event.onset_s, event.end_s, number),
        samples,
        rate_hz,
        rng.exponential(1.0, number),
    )
    drop = damped([event.pitch_hz * 1.3], [1.0], [0.003], int(0.03 * rate_hz), rate_hz)
    return (hiss + 1.5 * convolve(drops * strength, drop)) * span(event, times, 0.1)


def sight(canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
    """A cloud and its rain, heavier in gusts."""
    brush = Brush(canvas, event)
    count = 110
    column = rng.uniform(-0.95, 0.95, count)
    start, speed = rng.uniform(0, 1, count), rng.uniform(0.9, 1.1, count) * 1.3
    lean = rng.uniform(-0.25, 0.25)
    times = brush.times_s[:, 0]
    fallen = (start + speed * times) % 1.0
    # The lightest gust still wets a third of the drops; the order of dropping out is fixed.
    heavy = gust(brush.cycle[:, 0]) >= np.linspace(0.0, 1.0, count)
    points = np.linspace(0, 0.16, 6)
    depth = (fallen[:, :, None] + points).reshape(len(times), -1)
    sideways = np.repeat(column, points.size) + lean * depth
    falling = np.repeat(heavy & brush.playing[:, 0].astype(bool), points.size, axis=1)
    cover = brush.specks(
        sideways.astype(np.float32),
        (-0.45 + 1.35 * depth).astype(np.float32),
        (falling * (depth < 1)).astype(np.float32),
        spread=0.25,
    )
    brush.glaze(cover, (0.6, 0.75, 1.0))
    x, y = brush.x, brush.y
    cloud = union(
        ellipse(x, y + 0.6, 0.95, 0.2),
        disc(x - 0.35, y + 0.7, 0.25),
        disc(x + 0.15, y + 0.75, 0.32),
    )
    brush.fill(cloud, event.colour)


def gust(cycle: Reals) -> Reals:
    """Strength of the rain in [0.35, 1] at a fractional beat: strongest at each beat."""
    return np.asarray(0.675 + 0.325 * np.cos(2 * np.pi * cycle))


KIND = Kind(
    sound=sound,
    sight=sight,
    hue=0.52,
    duration_s=(1.4, 2.8),
    interval_s=(0.8, 2.0),
    pitch_hz=(1800, 4500),
    jitter=0.3,
    tilt=0.05,
    scale=1.2,
)
