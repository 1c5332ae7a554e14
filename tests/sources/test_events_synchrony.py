"""The moment of impact, measured twice: in the frames and in the samples of the same clip."""

import dataclasses
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from mmlib.params.data import EventsData
from mmlib.runtime.arrays import Floats
from mmlib.sources.events import render
from mmlib.sources.events.scene import Scene
from tests.sources.test_events import SETTINGS, alone

FINE = SETTINGS.model_copy(update={"fps": 50.0})
WINDOW_S = 0.09

Signal = Floats


def drawn(scene: Scene, settings: EventsData) -> Signal:
    """How far the event changes each pixel: (T, H, W)."""
    (event,) = scene.events
    empty = dataclasses.replace(scene, events=(dataclasses.replace(event, seen=False),))
    change = render.frames(scene, settings).astype(float) - render.frames(empty, settings)
    return np.asarray(np.abs(change).sum(axis=3))


def centre(change: Signal, axis: int) -> Signal:
    profile = change.sum(axis=3 - axis)
    return np.asarray(profile @ np.arange(profile.shape[1]) / (profile.sum(axis=1) + 1e-9))


def lowest(change: Signal) -> Signal:
    return centre(change, axis=1)


def to_a_side(change: Signal) -> Signal:
    across = centre(change, axis=2)
    return np.abs(across - np.median(across))


def together(change: Signal) -> Signal:
    places = np.arange(change.shape[2]) - centre(change, axis=2)[:, None]
    profile = change.sum(axis=1)
    return -np.asarray((profile * places**2).sum(axis=1) / (profile.sum(axis=1) + 1e-9))


def flashing(change: Signal) -> Signal:
    light = change.sum(axis=(1, 2))
    return np.diff(light, prepend=light[0])


def loudening(scene: Scene) -> Signal:
    """Rise of the level in dB from one hundredth of a second to the next."""
    sound = render.samples(scene, SETTINGS).astype(float)
    window = SETTINGS.sample_rate_hz // 100
    level = np.square(sound[: sound.size // window * window].reshape(-1, window)).mean(axis=1)
    return np.diff(10 * np.log10(level + 1), prepend=0.0)


def peak_near(signal: Signal, rate_hz: float, time_s: float) -> float:
    """Time of the largest value within WINDOW_S of a time."""
    first = max(0, int(np.ceil((time_s - WINDOW_S) * rate_hz)))
    last = int((time_s + WINDOW_S) * rate_hz) + 1
    return float((first + np.argmax(signal[first:last])) / rate_hz)


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("Basketball bounce", lowest),
        ("Coin (dropping)", lowest),
        ("Church bell", to_a_side),
        ("Cowbell", to_a_side),
        ("Tick-tock", to_a_side),
        ("Clapping", together),
        ("Fireworks", flashing),
    ],
)
def test_what_is_seen_to_strike_is_heard_in_the_same_frame(
    name: str, moment: Callable[[Signal], Signal]
) -> None:
    gaps = []
    for number in range(3):
        scene = alone(name, number, drift=(0.0, 0.0), tilt=0.0)
        (event,) = scene.events
        seen, heard = moment(drawn(scene, FINE)), loudening(scene)
        # The first strike falls into the fading in, and one at the end out of the clip.
        for before, strike in pairwise(event.strikes):
            if strike - before > 2 * WINDOW_S and strike < SETTINGS.seconds - WINDOW_S:
                times = peak_near(seen, FINE.fps, strike), peak_near(heard, 100, strike)
                gaps.append(abs(times[0] - times[1]))
    assert len(gaps) >= 3
    assert max(gaps) <= 1 / SETTINGS.fps
    assert np.median(gaps) <= 0.03
