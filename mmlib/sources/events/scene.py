"""What happens in a clip, before it is drawn: events, distractors and recording conditions."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmlib.params.data import EventsData
from mmlib.runtime.arrays import Ints
from mmlib.shards.rows.clips import SPLITS
from mmlib.sources.events.classes import CLASSES, EVENTS
from mmlib.sources.events.distractors import HEARD, SEEN
from mmlib.sources.events.event import Colour, Event
from mmlib.sources.events.kind import Kind

KINDS: dict[str, Kind] = {**EVENTS, **HEARD, **SEEN}


@dataclass(frozen=True)
class Scene:
    """One clip: its events (labelled), its distractors (not), and how it was recorded.

    `noise_db` is the background noise in dB of full scale; `shake` and `grain` are the camera's, as
    shares of the picture's side and of full scale; `webm` chooses the container.
    """

    events: tuple[Event, ...]
    distractors: tuple[Event, ...]
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

    Each run of as many clips as there are classes holds each class once as its first event, and at
    most once as its second, third and so on, so that classes are balanced in splits of any size.
    `single` draws one event.
    """
    rng = _generator(seed, split, index, 0)
    count = 1 if single else int(rng.integers(1, settings.events_max + 1))
    order = _dealt(_generator(seed, split, index // len(CLASSES), 1), index % len(CLASSES))
    names: list[str] = [CLASSES[k] for k in order[:count]]
    for table in (HEARD, SEEN):
        names += rng.permutation(list(table))[: rng.binomial(2, settings.distractor_share)].tolist()
    found: list[Event] = []
    for name in names:
        found.append(_event(settings, rng, name, found))
    return Scene(
        events=tuple(found[:count]),
        distractors=tuple(found[count:]),
        noise_db=float(rng.uniform(-50, -34)),
        shake=float(rng.uniform(0, settings.shake)),
        grain=float(rng.uniform(0.2, 1) * settings.grain),
        webm=bool(rng.random() < settings.webm_share),
        seed=int(rng.integers(2**62)),
    )


def _generator(seed: int, split: str, number: int, purpose: int) -> np.random.Generator:
    key = (SPLITS.index(split), number, purpose)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _dealt(rng: np.random.Generator, place: int) -> Ints:
    """The classes (K,), in the order in which the clip at this place of a run takes them.

    The classes in a circle of random order: each clip begins at its own, and all go round it in the
    same random steps, so that no two meet.
    """
    circle = rng.permutation(len(CLASSES))
    steps = np.append(0, 1 + rng.permutation(len(CLASSES) - 1))
    return np.asarray(circle[(place + steps) % len(CLASSES)])


def _event(
    settings: EventsData, rng: np.random.Generator, name: str, others: Sequence[Event]
) -> Event:
    """Draw an event, or a distractor, that keeps clear of the others' sights where it can."""
    kind = KINDS[name]
    heard, seen = _modalities(settings, rng, kind)
    duration = min(float(rng.uniform(*kind.duration_s)), 0.95 * settings.seconds)
    onset = float(rng.uniform(0, settings.seconds - duration))
    size = float(rng.uniform(settings.sight_min, settings.sight_max)) * kind.scale
    heading = rng.uniform(0, 2 * np.pi)
    speed = rng.uniform(0, kind.speed)
    x, y = _place(rng, size, [(other.x, other.y) for other in others if other.seen])
    colour, accent = _colours(rng, kind)
    return Event(
        name=name,
        onset_s=onset,
        end_s=onset + duration,
        beats=_beats(rng, kind, onset, onset + duration),
        pitch_hz=float(np.exp(rng.uniform(*np.log(kind.pitch_hz)))),
        snr_db=float(rng.uniform(settings.snr_min_db, settings.snr_max_db)) + kind.gain_db,
        heard=heard,
        seen=seen,
        x=x,
        y=y,
        size=size,
        drift=(float(speed * np.cos(heading)), float(0.4 * speed * np.sin(heading))),
        tilt=float(rng.uniform(-kind.tilt, kind.tilt)),
        colour=colour,
        accent=accent,
        opacity=float(rng.uniform(settings.opacity_min, 1)),
        seed=int(rng.integers(2**62)),
    )


def _modalities(settings: EventsData, rng: np.random.Generator, kind: Kind) -> tuple[bool, bool]:
    """Draw whether an event is heard and whether it is seen; a distractor has no choice."""
    if not (kind.audible and kind.visible):
        return kind.audible, kind.visible
    draw = rng.random()
    seen = draw >= settings.heard_only_share
    return not seen or draw >= settings.heard_only_share + settings.seen_only_share, seen


def _place(
    rng: np.random.Generator, size: float, taken: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """Draw a centre well inside the picture: of eight, the farthest from those taken."""
    low, high = min(size, 0.5), max(1 - size, 0.5)
    centres = rng.uniform(low, high, (8, 2))
    gaps = [np.hypot(*(centres - place).T) for place in taken]
    x, y = centres[np.min(gaps, axis=0).argmax() if gaps else 0]
    return float(x), float(y)


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


def _colours(rng: np.random.Generator, kind: Kind) -> tuple[Colour, Colour]:
    """Draw a body colour, near the kind's hue if there is one, and a dark accent of any hue."""
    body = rng.random() if kind.hue is None else kind.hue + rng.normal(0, 0.03)
    light = colorsys.hsv_to_rgb(body % 1, rng.uniform(*kind.saturation), rng.uniform(*kind.light))
    deep = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.2, 0.9), rng.uniform(0.05, 0.3))
    return light, deep
