"""The demo set: the same for a seed, labelled as drawn, and synchronous to the ear and the eye."""

import dataclasses
import shutil
from collections import Counter
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from mmlib.params.data import Data, EventsData
from mmlib.params.whole.file import load
from mmlib.runtime.errors import UserError
from mmlib.runtime.workers import map_ordered
from mmlib.shards.rows.clips import SPLITS
from mmlib.sources import events
from mmlib.sources.events import render
from mmlib.sources.events.classes import CLASSES
from mmlib.sources.events.event import Event
from mmlib.sources.events.scene import Scene, plan
from tests.conftest import ROOT
from tools import profiles

PARAMS = load(ROOT / "params.yaml")
SETTINGS = PARAMS.data.events
IMPULSIVE = (
    *("Clapping", "Cowbell", "Acoustic guitar", "Gong", "Church bell", "Bicycle bell"),
    *("Coin (dropping)", "Tick-tock", "Hammer", "Fireworks", "Burst, pop", "Basketball bounce"),
)


def data(**changes: Any) -> Data:
    return PARAMS.data.model_copy(update=changes)


def alone(name: str, number: int = 0, **changes: Any) -> Scene:
    """A quiet, still scene with one event of the class, heard and seen."""
    found = -1
    for index in range(1000):
        scene = plan(SETTINGS, 3, "train", index, single=True)
        (event,) = scene.events
        found += event.name == name and event.heard and event.seen
        if found == number:
            loud: dict[str, Any] = {"snr_db": 40.0, "opacity": 1.0} | changes
            event = dataclasses.replace(event, **loud)
            return dataclasses.replace(scene, events=(event,), distractors=(), shake=0.0, grain=0.0)
    raise AssertionError(f"no clip of {name}")


def test_a_clip_depends_on_seed_split_and_number_alone() -> None:
    first = plan(SETTINGS, 1, "train", 5)
    assert plan(SETTINGS, 1, "train", 5) == first
    for other in (
        plan(SETTINGS, 2, "train", 5),
        plan(SETTINGS, 1, "eval", 5),
        plan(SETTINGS, 1, "train", 6),
    ):
        assert other != first
    more = SETTINGS.model_copy(update={"train_clips": 9999})
    assert plan(more, 1, "train", 5) == first


def test_encoded_bytes_are_the_same_from_any_worker() -> None:
    requests = list(events.clip_list(data(), seed=4).requests)
    webm = next(r for k, r in enumerate(requests) if plan(SETTINGS, 4, "train", k).webm)
    chosen = [requests[0], requests[1], webm]
    here = [events.fetch(request).media for request in chosen]
    there = [f.media for f in map_ordered(events.fetch, chosen, label="render", workers=2)]
    assert here == there
    assert here[2] is not None
    assert here[2][:4] == b"\x1a\x45\xdf\xa3", "the EBML mark of WebM"


def test_labels_are_what_happens_and_each_is_heard_or_seen() -> None:
    clips = events.clip_list(data(), seed=PARAMS.seed)
    assert clips.classes == CLASSES
    for index, request in enumerate(list(clips.requests)[:200]):
        scene = plan(SETTINGS, PARAMS.seed, "train", index)
        assert set(request.labels) == {event.name for event in scene.events}
        assert len(set(request.labels)) == len(request.labels)
        assert 1 <= len(request.labels) <= SETTINGS.events_max
        assert all(event.heard or event.seen for event in scene.events)
        assert all(event.heard != event.seen for event in scene.distractors)
        assert not {event.name for event in scene.distractors} & set(CLASSES)


@pytest.mark.parametrize("count", [1, len(CLASSES) - 1, 2 * len(CLASSES) + 17])
@pytest.mark.parametrize("split", SPLITS)
def test_classes_are_dealt_evenly_to_splits_of_any_size(split: str, count: int) -> None:
    """The k-th event of a clip is of each class at most once in as many clips as there are."""
    dealt = [[e.name for e in plan(SETTINGS, 11, split, index).events] for index in range(count)]
    rounds = -(-count // len(CLASSES))
    for place in range(SETTINGS.events_max):
        counts = Counter(names[place] for names in dealt if len(names) > place)
        assert max(counts.values(), default=0) <= rounds
        if place == 0:
            assert min(counts[name] for name in CLASSES) == count // len(CLASSES)
    together = Counter(name for names in dealt for name in names)
    assert max(together.values()) <= SETTINGS.events_max * rounds


@cache
def many() -> list[Scene]:
    return [plan(SETTINGS, 0, "train", index) for index in range(40 * len(CLASSES))]


def test_any_two_classes_meet_as_often_as_any_other_two() -> None:
    meetings = Counter(pair for scene in many() for pair in combinations(scene.labels, 2))
    pairs = list(combinations(CLASSES, 2))
    expected = sum(meetings.values()) / len(pairs)
    statistic = sum((meetings[pair] - expected) ** 2 / expected for pair in pairs)
    free = len(pairs) - 1
    assert abs(statistic - free) < 5 * np.sqrt(2 * free)


def test_shares_are_as_set() -> None:
    everything = [event for scene in many() for event in scene.events]
    heard_only = np.mean([event.heard and not event.seen for event in everything])
    seen_only = np.mean([event.seen and not event.heard for event in everything])
    assert heard_only == pytest.approx(SETTINGS.heard_only_share, abs=0.03)
    assert seen_only == pytest.approx(SETTINGS.seen_only_share, abs=0.03)


@pytest.mark.parametrize("single", [False, True])
def test_the_tiny_profile_has_train_and_eval_clips_of_every_class(
    tmp_path: Path, single: bool
) -> None:
    """Train: what `shard.untrained_classes: stop` asks for; eval: no class goes unscored."""
    params = Path(shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml"))
    profiles.apply("tiny single_label" if single else "tiny", ROOT / "profiles", params)
    tiny = load(params)
    requests = list(events.clip_list(tiny.data, tiny.seed).requests)
    for split, least in (("train", 2), ("eval", 1)):
        labels = Counter(name for r in requests if r.split == split for name in r.labels)
        assert min(labels[name] for name in CLASSES) >= least


def test_a_clip_may_hold_every_class_and_no_more() -> None:
    most = SETTINGS.model_dump() | {"events_max": len(CLASSES)}
    settings = EventsData.model_validate(most)
    most_events = max(len(plan(settings, 0, "train", index).events) for index in range(200))
    assert most_events > len(CLASSES) - 3
    with pytest.raises(ValidationError, match="events_max"):
        EventsData.model_validate(most | {"events_max": len(CLASSES) + 1})


def test_single_label_clips_hold_one_event() -> None:
    clips = events.clip_list(data(task="single_label"), seed=0)
    assert all(len(request.labels) == 1 for request in list(clips.requests)[:100])


@pytest.mark.parametrize("name", CLASSES)
def test_what_is_not_heard_is_silent_and_what_is_not_seen_is_invisible(name: str) -> None:
    scene = alone(name)
    (event,) = scene.events

    def changed(**flags: Any) -> Scene:
        return dataclasses.replace(scene, events=(dataclasses.replace(event, **flags),))

    frames, unseen = render.frames(scene, SETTINGS), render.frames(changed(seen=False), SETTINGS)
    sound, unheard = render.samples(scene, SETTINGS), render.samples(changed(heard=False), SETTINGS)
    assert (np.abs(frames.astype(int) - unseen) > 25).any(axis=3).mean() > 0.004
    assert _energy(sound) > 10 * _energy(unheard)
    assert (render.frames(changed(heard=False), SETTINGS) == frames).all()
    assert (render.samples(changed(seen=False), SETTINGS) == sound).all()
    assert np.abs(sound.astype(int)).max() <= 0.9 * 32768


def _energy(sound: np.ndarray) -> float:
    return float(np.square(sound.astype(float)).mean())


@pytest.mark.parametrize("name", IMPULSIVE)
def test_the_sound_starts_when_the_event_does(name: str) -> None:
    """Within a frame: the loudness first rises far above the room at the first strike."""
    for number in range(3):
        scene = alone(name, number)
        (event,) = scene.events
        heard = _first_loud(scene)
        assert heard == pytest.approx(event.strikes[0], abs=1 / SETTINGS.fps)


def _first_loud(scene: Scene) -> float:
    sound = render.samples(scene, SETTINGS).astype(float)
    window = SETTINGS.sample_rate_hz // 100
    level = np.square(sound[: sound.size // window * window].reshape(-1, window)).mean(axis=1)
    return float(np.argmax(level > 0.02 * level.max()) / 100)


def test_the_ball_is_lowest_when_it_sounds() -> None:
    """The picture's timing, read off the picture: the ball's height at its strikes and between."""
    settings = SETTINGS.model_copy(update={"fps": 50.0})
    scene = alone("Basketball bounce", drift=(0.0, 0.0), tilt=0.0)
    (event,) = scene.events
    empty = dataclasses.replace(scene, events=(dataclasses.replace(event, seen=False),))
    drawn = render.frames(scene, settings).astype(int) - render.frames(empty, settings)
    ball = np.abs(drawn).sum(axis=3) > 60
    rows = np.arange(settings.size)[None, :, None]
    top = np.where(ball, rows, settings.size).min(axis=(1, 2))

    def height(time_s: float) -> int:
        return int(-top[min(len(top) - 1, round(time_s * settings.fps))])

    for strike, following in zip(event.strikes, event.strikes[1:], strict=False):
        assert height(strike) < height((strike + following) / 2) - 3


def test_shapes_follow_the_settings() -> None:
    settings = SETTINGS.model_copy(update={"size": 64, "fps": 8.0, "seconds": 2.0})
    scene = plan(settings, 0, "val", 0)
    assert render.frames(scene, settings).shape == (16, 64, 64, 3)
    assert render.samples(scene, settings).shape == (2 * settings.sample_rate_hz,)


def test_rendered_clips_cannot_be_read_in_place() -> None:
    with pytest.raises(UserError, match=r"data\.media=copy"):
        events.clip_list(data(media="in_place"), seed=0)


def test_beats_rise_through_the_event() -> None:
    scenes = [plan(SETTINGS, 0, "train", index) for index in range(100)]
    everything: list[Event] = [event for scene in scenes for event in scene.events]
    for event in everything:
        assert list(event.beats) == sorted(event.beats)
        assert event.beats[0] < event.onset_s == pytest.approx(event.strikes[0])
        assert 0 <= event.onset_s < event.end_s <= SETTINGS.seconds
