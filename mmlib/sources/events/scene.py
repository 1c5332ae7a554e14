"""What happens in a clip, before it is drawn: events, distractors and recording conditions."""

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mmlib.clips import SPLITS
from mmlib.params import EventsData
from mmlib.sources.events.classes import CLASSES, EVENTS
from mmlib.sources.events.distractors import HEARD, SEEN
from mmlib.sources.events.event import Colour, Event
from mmlib.sources.events.kind import Kind


@dataclass(frozen=True)
class Scene:
    """One clip: its events (labelled), its distractors (not), and how it was recorded.

    `noise_db` is the background noise in dB of full scale; `shake` and `grain` are the camera's, as
    shares of the picture's side and of full scale; `webm` chooses the container.
    """

    events: tuple[Event, ...]
    distractors: tuple[Event, ...]
    dark: bool
    noise_db: float
    shake: float
    grain: float
    webm: bool
    seed: int

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the events' classes, in the order of CLASSES."""
        names = {event.name for event in self.events}
        return tuple(name for name in CLASSES if name in names)


def plan(settings: EventsData, seed: int, split: str, index: int, *, single: bool = False) -> Scene:
    """Draw the scene of clip `index` of a split; it depends on the arguments alone.

    Each run of 12 clips holds each class once as its leading event, so that classes are balanced in
    splits of any size; further events are of other classes, drawn evenly. `single` draws one event.
    """
    rng = _generator(seed, split, index, 0)
    leading = _generator(seed, split, index // len(CLASSES), 1).permutation(len(CLASSES))
    first = int(leading[index % len(CLASSES)])
    count = 1 if single else int(rng.integers(1, settings.events_max + 1))
    others = [k for k in rng.permutation(len(CLASSES)) if k != first]
    names = [CLASSES[k] for k in [first, *others[: count - 1]]]
    dark = bool(rng.random() < 0.5)
    events = tuple(_event(settings, rng, name, EVENTS[name], dark) for name in names)
    return Scene(
        events=events,
        distractors=_distractors(settings, rng, dark),
        dark=dark,
        noise_db=float(rng.uniform(-50, -34)),
        shake=float(rng.uniform(0, settings.shake)),
        grain=float(rng.uniform(0.2, 1) * settings.grain),
        webm=bool(rng.random() < settings.webm_share),
        seed=int(rng.integers(2**62)),
    )


def _generator(seed: int, split: str, number: int, purpose: int) -> np.random.Generator:
    key = (SPLITS.index(split), number, purpose)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _distractors(settings: EventsData, rng: np.random.Generator, dark: bool) -> tuple[Event, ...]:
    """Draw up to two distractors a modality; what is heard is not seen, and the other way round."""
    found = []
    tables: tuple[tuple[Mapping[str, Kind], str], ...] = (
        (HEARD, "heard"),
        (SEEN, "seen"),
    )
    for table, modality in tables:
        names = rng.permutation(list(table))[: rng.binomial(2, settings.distractor_share)]
        found += [_event(settings, rng, str(name), table[name], dark, modality) for name in names]
    return tuple(found)


def _event(
    settings: EventsData,
    rng: np.random.Generator,
    name: str,
    kind: Kind,
    dark: bool,
    only: str | None = None,
) -> Event:
    draw = rng.random()
    if only is None and draw < settings.heard_only_share:
        only = "heard"
    elif only is None and draw < settings.heard_only_share + settings.seen_only_share:
        only = "seen"
    duration = min(float(rng.uniform(*kind.duration_s)), 0.95 * settings.seconds)
    onset = float(rng.uniform(0, settings.seconds - duration))
    size = float(rng.uniform(settings.sight_min, settings.sight_max)) * kind.scale
    heading = rng.uniform(0, 2 * np.pi)
    speed = rng.uniform(0, kind.speed)
    colour, accent = _colours(rng, dark)
    return Event(
        name=name,
        onset_s=onset,
        end_s=onset + duration,
        beats=_beats(rng, kind, onset, onset + duration),
        pitch_hz=float(np.exp(rng.uniform(*np.log(kind.pitch_hz)))),
        snr_db=float(rng.uniform(settings.snr_min_db, settings.snr_max_db)) + kind.gain_db,
        heard=only != "seen",
        seen=only != "heard",
        x=float(rng.uniform(min(size, 0.5), max(1 - size, 0.5))),
        y=float(rng.uniform(min(size, 0.5), max(1 - size, 0.5))),
        size=size,
        drift=(float(speed * np.cos(heading)), float(0.4 * speed * np.sin(heading))),
        tilt=float(rng.uniform(-kind.tilt, kind.tilt)),
        colour=colour,
        accent=accent,
        opacity=float(rng.uniform(settings.opacity_min, 1)),
        seed=int(rng.integers(2**62)),
    )


def _beats(rng: np.random.Generator, kind: Kind, onset: float, end: float) -> tuple[float, ...]:
    """Draw beats from onset to past the end: a steady, jittered or changing rhythm."""
    interval, growth = rng.uniform(*kind.interval_s), rng.uniform(*kind.growth)
    intervals: list[float] = []
    while sum(intervals[1:]) < end - onset:
        intervals.append(interval * (1 + kind.jitter * rng.uniform(-1, 1)))
        # Growth below 1 is a ball that comes to rest: when it has, it is thrown again.
        interval = interval * growth if interval * growth > 0.3 * intervals[0] else intervals[0]
    beats = onset - intervals[0] + np.concatenate([[0.0], np.cumsum(intervals)])
    last = int(np.searchsorted(beats, end))
    return tuple(float(beat) for beat in beats[: last + 1])


def _colours(rng: np.random.Generator, dark: bool) -> tuple[Colour, Colour]:
    """Draw a body colour that stands out from the backdrop, and an accent unlike the body."""
    light = rng.uniform(0.75, 1.0), rng.uniform(0.1, 0.6)
    deep = rng.uniform(0.05, 0.35), rng.uniform(0.2, 0.9)
    body, detail = (light, deep) if dark else (deep, light)
    hues = rng.random(2)
    colours = [
        colorsys.hsv_to_rgb(float(hue), float(saturation), float(value))
        for hue, (value, saturation) in zip(hues, (body, detail), strict=True)
    ]
    return colours[0], colours[1]
