"""Rails: one chuff and one puff of a locomotive each beat, or the clatter of wheels on a joint."""

from dataclasses import dataclass

import numpy as np

from mmlib.sources.events.canvas import Brush, Canvas, turn
from mmlib.sources.events.event import Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import both, box, disc, union
from mmlib.sources.events.waves import Wave, at, band_noise, burst, convolve, harmonics, span

SMOKE = (0.82, 0.82, 0.82)
LIT = (1.0, 0.93, 0.55)


@dataclass(frozen=True, kw_only=True)
class Rails(Kind):
    """A stroke of noise at each beat, of which every `group`-th is louder, over a rumble.

    `rise_s` and `fall_s` are a stroke's, `echo_s` the delay of its second half (0: it has none);
    `whine` is the gain of a motor's tone, `rumble` of the rumble.
    """

    group: int
    rise_s: float
    fall_s: float
    echo_s: float = 0.0
    whine: float = 0.0
    rumble: float = 0.12

    def sound(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        """The strokes, the rumble and the motor."""
        grain = burst(rng, rate_hz, event.pitch_hz, 0.9, rise_s=self.rise_s, fall_s=self.fall_s)
        gains = [1.0 if k % self.group == 0 else 0.6 for k in range(len(event.strikes))]
        strokes = at(event.strikes, samples, rate_hz, gains)
        if self.echo_s:
            again = np.asarray(event.strikes) + self.echo_s
            strokes += at(again, samples, rate_hz, [0.8 * gain for gain in gains])
        strokes = convolve(strokes, grain)
        times = np.arange(samples) / rate_hz
        running = self.rumble * band_noise(rng, samples, rate_hz, 75, 0.6)
        if self.whine:
            share = (times - event.onset_s) / (event.end_s - event.onset_s)
            turns = np.cumsum(event.pitch_hz * (0.8 + 0.8 * np.clip(share, 0, 1))) / rate_hz
            running += self.whine * harmonics(turns, (1.0, 0.3, 0.5, 0.0, 0.3))
        strokes /= np.abs(strokes).max() + 1e-9
        return np.asarray(strokes + running * span(event, times, 0.1))


@dataclass(frozen=True, kw_only=True)
class Locomotive(Rails):
    """A steam engine."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """Seen from the side; half a turn of the wheels and a puff of smoke each beat."""
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


@dataclass(frozen=True, kw_only=True)
class Subway(Rails):
    """A carriage underground."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """A row of lit windows in a tunnel; the lamps on its wall rush by, one each beat."""
        brush = Brush(canvas, event, level=True)
        x, y = brush.x * np.float32(rng.choice([-1.0, 1.0])), brush.y
        brush.fill(box(x, y, 1.05, 0.95), (0.02, 0.02, 0.03))
        lamps = box(((x + brush.cycle + 0.5) % 1) - 0.5, y + 0.78, 0.14, 0.08)
        brush.fill(both(lamps, np.abs(x) - 1.0), (1.0, 1.0, 1.0))
        jolt = 0.06 * np.exp(-np.maximum(brush.since, 0) / 0.08) * brush.playing
        y = y - jolt
        brush.fill(box(x, y - 0.12, 1.05, 0.55), event.colour)
        panes = np.maximum(np.abs((x * 2 + 0.5) % 1 - 0.5) * 0.5 - 0.16, np.abs(y + 0.12) - 0.19)
        brush.fill(both(panes, np.abs(x) - 1.0), LIT)
        brush.fill(box(x, y - 0.42, 1.05, 0.06), event.accent)
        wheels = (disc(x - hub, y - 0.74, 0.13) for hub in (-0.7, -0.4, 0.4, 0.7))
        brush.fill(union(*wheels), (0.5, 0.5, 0.5))
