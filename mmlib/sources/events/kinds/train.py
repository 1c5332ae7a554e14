"""Train: one chuff, one puff of smoke and half a turn of the wheels each beat."""

import numpy as np

from mmlib.sources.events.canvas import Brush, Canvas, turn
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import both, box, disc, union
from mmlib.sources.events.waves import Wave, at, band_noise, burst, convolve, span

SMOKE = (0.82, 0.82, 0.82)


def sound(event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """A chuff of steam at each beat, every fourth louder, over a rumble."""
    grain = burst(rng, rate_hz, event.pitch_hz, 0.9, rise_s=0.025, fall_s=0.06)
    gains = [1.0 if k % 4 == 0 else 0.6 for k in range(len(event.strikes))]
    chuffs = convolve(at(event.strikes, samples, rate_hz, gains), grain)
    rumble = band_noise(rng, samples, rate_hz, 75, 0.6)
    running = span(event, np.arange(samples) / rate_hz, 0.1)
    return np.asarray(chuffs / (np.abs(chuffs).max() + 1e-9) + 0.12 * rumble * running)


def sight(canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
    """A locomotive seen from the side; half a turn of the wheels and a puff of smoke each beat."""
    brush = Brush(canvas, event)
    way = rng.choice([-1.0, 1.0])
    x, y = (brush.x * np.float32(way)), brush.y
    turned = np.pi * brush.cycle
    radius = 0.24
    # The camera goes along: the sleepers run backwards as fast as the wheels roll.
    sleepers = np.abs(((x + radius * turned) * 2.5) % 1 - 0.5) * 0.4 - 0.08
    brush.fill(both(sleepers, box(x, y - 0.97, 1.05, 0.06)), event.accent)
    brush.fill(box(x, y - 0.88, 1.05, 0.035), event.colour)
    hull = union(
        box(x - 0.2, y - 0.22, 0.68, 0.24),
        box(x + 0.6, y - 0.02, 0.32, 0.48),
        box(x - 0.6, y + 0.22, 0.11, 0.22),
    )
    brush.fill(hull, event.colour)
    brush.fill(box(x + 0.6, y + 0.15, 0.18, 0.16), event.accent)
    rim, spokes = [], []
    for hub in (-0.62, 0.0, 0.62):
        wheel_x, wheel_y = x - hub, y - 0.6
        spoke_x, spoke_y = turn(wheel_x, wheel_y, turned.astype(np.float32))
        rim.append(disc(wheel_x, wheel_y, radius + 0.03))
        spokes.append(both(disc(wheel_x, wheel_y, radius), box(spoke_x, spoke_y, 0.06, 1)))
    brush.fill(union(*rim), (0.08, 0.08, 0.08))
    brush.fill(union(*spokes), (0.95, 0.95, 0.9))
    for back in range(3):
        age = brush.since + back * 0.3
        born = brush.playing * (brush.cycle >= back)
        puff = disc(x - 0.6 + 0.5 * age, y + 0.5 + 0.45 * age, 0.12 + 0.3 * age)
        brush.fill(puff, SMOKE, 0.9 * np.clip(1 - age / 0.9, 0, 1) * born)


KIND = Kind(
    sound=sound,
    sight=sight,
    hue=0.94,
    duration_s=(1.4, 2.8),
    interval_s=(0.2, 0.45),
    pitch_hz=(350, 800),
    growth=(0.95, 1.03),
    tilt=0.03,
)
