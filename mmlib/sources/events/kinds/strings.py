"""Strings: one note each beat, or a run of notes."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mmlib.runtime.arrays import Reals
from mmlib.sources.events.canvas import Brush, Canvas
from mmlib.sources.events.event import Colour, Event
from mmlib.sources.events.kind import Kind
from mmlib.sources.events.shapes import both, box, convex, disc, stroke, union
from mmlib.sources.events.waves import Wave, harmonics, span

PENTATONIC = (0, 3, 5, 7, 10, 12)


@dataclass(frozen=True, kw_only=True)
class Plucked(Kind):
    """Notes of a scale in semitones above the pitch; `ring` is what a period retains of the last.

    A beat brings a run of so many notes, `apart_s` between them, which go up the scale.
    """

    ring: float
    scale_steps: tuple[int, ...] = PENTATONIC
    run: int = 1
    apart_s: float = 0.0

    def sound(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        """Karplus-Strong notes, each stopping the one before."""
        out = np.zeros(samples)
        offsets = self.apart_s * np.arange(self.run)
        times = np.add.outer(event.strikes, offsets).ravel()
        steps = rng.choice(self.scale_steps, times.size)
        if self.run > 1:
            steps = np.resize(self.scale_steps, times.size)
        edges = [*(int(time * rate_hz) for time in times), samples]
        for (start, end), step in zip(pairwise(edges), steps, strict=True):
            length = min(end - start, samples - start)
            if length > 0:
                note = event.pitch_hz * 2 ** (step / 12)
                out[start : start + length] = _plucked(rng, note, length, rate_hz, self.ring)
        return out


@dataclass(frozen=True, kw_only=True)
class Lute(Plucked):
    """A body with a neck: `bouts` are the discs of the body (y, radius), `neck` its half width.

    `hole` is a disc on the body (y, radius) in `hole_colour`, or the accent's (None).
    """

    bouts: tuple[tuple[float, float], ...]
    neck: float
    hole: tuple[float, float]
    hole_colour: Colour | None = None

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """A string that swings wide at each pluck and comes to rest."""
        brush = Brush(canvas, event)
        x, y = brush.x, brush.y
        body = union(*(disc(x, y - middle, radius) for middle, radius in self.bouts))
        neck = union(box(x, y + 0.5, self.neck, 0.5), box(x, y + 0.95, self.neck + 0.05, 0.1))
        brush.fill(union(body, neck), event.colour)
        middle, radius = self.hole
        brush.fill(disc(x, y - middle, radius), self.hole_colour or event.accent)
        brush.fill(box(x, y - 0.78, 0.2, 0.05), event.accent)
        frets = both(box(x, y + 0.5, self.neck, 0.4), np.abs((y * 5) % 1 - 0.5) * 0.2 - 0.02)
        brush.fill(frets, event.accent, 0.6)
        # What an eye sees of a string that swings hundreds of times a second: what it sweeps.
        swing = 0.38 * np.exp(-brush.since / 0.3) * brush.playing
        reach = swing * np.sin(np.pi * np.clip((y + 0.95) / 1.7, 0, 1))
        inside = both(np.abs(x) - reach, box(x, y + 0.1, 1.0, 0.85))
        brush.fill(inside, event.accent, 0.35)
        string = both(np.abs(np.abs(x) - reach) - 0.025, box(x, y + 0.1, 1.0, 0.85))
        brush.fill(string, (1.0, 0.95, 0.75))


@dataclass(frozen=True, kw_only=True)
class Harp(Plucked):
    """Many strings in a frame."""

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """A run of light over the strings at each beat, from the long ones to the short ones."""
        brush = Brush(canvas, event)
        x, y = brush.x * np.float32(rng.choice([-1.0, 1.0])), brush.y
        inside = convex(x, y, [(-0.75, -0.85), (0.85, -0.35), (-0.6, 0.9), (-0.75, 0.9)])
        strings = both(np.abs((x * 4) % 1 - 0.5) * 0.25 - 0.03, inside)
        brush.fill(inside, event.accent, 0.5)
        brush.fill(strings, (0.95, 0.9, 0.75))
        played = -0.7 + 1.5 * np.minimum(np.maximum(brush.since, 0) / 0.35, 1)
        lit = np.exp(-np.maximum(brush.since - 0.3, 0) / 0.1) * brush.playing
        brush.fill(both(np.abs(x - played) - 0.14, inside), (1.0, 1.0, 0.8), lit)
        frame = union(
            stroke(x, y, (-0.8, -0.9), (-0.8, 0.9), 0.12),
            stroke(x, y, (-0.8, 0.9), (0.9, -0.35), 0.13),
            stroke(x, y, (-0.8, -0.85), (-0.2, -0.55), 0.1),
            stroke(x, y, (-0.2, -0.55), (0.9, -0.4), 0.1),
            box(x + 0.7, y - 0.93, 0.3, 0.07),
        )
        brush.fill(frame, event.colour)


@dataclass(frozen=True, kw_only=True)
class Bowed(Kind):
    """A string under a bow; `bouts` as of a lute. A new note, and a turn of the bow, each beat."""

    bouts: tuple[tuple[float, float], ...]

    def sound(self, event: Event, rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
        """A sawtooth of seven harmonics with vibrato, swelling on each note."""
        times = np.arange(samples) / rate_hz
        cycle = event.cycle(times)
        notes = rng.choice(PENTATONIC, len(event.beats))
        step = notes[np.clip(cycle.astype(np.int64), 0, notes.size - 1)]
        vibrato = 1 + 0.012 * np.sin(2 * np.pi * rng.uniform(5, 7) * times)
        turns = np.cumsum(event.pitch_hz * 2 ** (step / 12) * vibrato) / rate_hz
        tone = harmonics(turns, (1.0, 0.7, 0.6, 0.35, 0.3, 0.2, 0.15))
        swell = np.clip(event.since_strike(times) / 0.08, 0.15, 1) * (cycle >= 0)
        return np.asarray(tone * swell * span(event, times, 0.06))

    def sight(self, canvas: Canvas, event: Event, rng: np.random.Generator) -> None:
        """A waisted body, upright, and the bow that crosses it to and fro."""
        brush = Brush(canvas, event)
        x, y = brush.x, brush.y
        body = union(*(disc(x, y - middle, radius) for middle, radius in self.bouts))
        brush.fill(both(body, -disc(np.abs(x) - 0.55, y - 0.3, 0.2)), event.colour)
        dark = union(
            box(x, y + 0.45, 0.1, 0.55), disc(x, y + 0.95, 0.13), box(x, y - 0.72, 0.1, 0.15)
        )
        brush.fill(dark, (0.05, 0.04, 0.04))
        holes = stroke(np.abs(x), y, (0.2, 0.2), (0.26, 0.48), 0.04)
        brush.fill(holes, (0.05, 0.04, 0.04))
        along = 0.45 * np.cos(np.pi * brush.cycle)
        start, end = (along - 0.55, 0.38), (along + 0.55, 0.22)
        brush.fill(stroke(x, y, start, end, 0.06), (1.0, 1.0, 0.95))
        brush.fill(stroke(x, y + 0.14, start, end, 0.04), event.accent)


def _plucked(
    rng: np.random.Generator, pitch_hz: float, samples: int, rate_hz: int, ring: float
) -> Reals:
    """A plucked string (Karplus & Strong 1983), all periods at once.

    Each period is the one before through the two-point mean filter, less its phase lag, so period m
    is the first one with every partial's gain to the power m.
    """
    period = max(round(rate_hz / pitch_hz), 4)
    partials = np.arange(period // 2 + 1)
    pluck_at = rng.uniform(0.15, 0.3)
    first = np.fft.rfft(rng.uniform(-1, 1, period)) * np.abs(np.sin(np.pi * partials * pluck_at))
    gain = ring * np.cos(np.pi * partials / period)
    first[0] = 0
    decay = np.maximum(gain, 1e-9) ** np.arange(-(-samples // period))[:, None]
    return np.fft.irfft(first * decay, period, axis=1).ravel()[:samples]
