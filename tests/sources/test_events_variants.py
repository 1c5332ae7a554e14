"""Variants of one family are told apart by ear and by eye, at the resolution of the demo's nets."""

import dataclasses
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mmlib.features import LogMel
from mmlib.params.shard import Mel
from mmlib.runtime.arrays import Floats
from mmlib.sources.events import render
from mmlib.sources.events.classes import families
from mmlib.sources.events.scene import Scene
from tests.sources.test_events import PARAMS, SETTINGS, alone

CLIPS = {"heard": 8, "seen": 4}


@cache
def front_end() -> LogMel:
    return LogMel(Mel.model_validate(PARAMS.shard.mel.model_dump() | {"frames": 50}))


def heard(scene: Scene) -> Floats:
    """Each band's mean, deviation and change over time, less the clip's loudness."""
    sound = torch.from_numpy(render.samples(scene, SETTINGS).astype(np.float32) / 32768)
    mel = front_end()(sound[None])[0].double().numpy()
    change = np.abs(np.diff(mel, axis=0)).mean(axis=0)
    return np.concatenate([mel.mean(axis=0) - mel.mean(), mel.std(axis=0), change])


def seen(scene: Scene) -> Floats:
    """How far each pixel of 32 by 32 differs from the empty scene over the event, without hue."""
    (event,) = scene.events
    empty = dataclasses.replace(scene, events=(dataclasses.replace(event, seen=False),))
    times = np.linspace(event.onset_s + 0.1, event.end_s - 0.1, 4)
    picks = np.clip(np.rint(times * SETTINGS.fps).astype(int), 0, None)
    frames, without = (render.frames(s, SETTINGS)[picks] for s in (scene, empty))
    small = [
        np.asarray(Image.fromarray(frame).convert("L").resize((32, 32)), np.float64)
        for frame in (*frames, *without)
    ]
    change = np.stack(small[:4]) - np.stack(small[4:])
    return np.concatenate([change.mean(axis=0).ravel(), change.std(axis=0).ravel()])


def told_apart(features: Sequence[Sequence[Floats]]) -> float:
    """Share of clips whose class is that of the nearest centre of the other clips.

    Each feature is in units of its deviation within classes.
    """
    clips = np.asarray(features)
    centres = clips.mean(axis=1, keepdims=True)
    scaled = clips / ((clips - centres).std(axis=(0, 1)) + 1e-3 * np.abs(clips).max())
    right = []
    for kind, number in np.ndindex(*clips.shape[:2]):
        means = scaled.mean(axis=1)
        means[kind] = np.delete(scaled[kind], number, axis=0).mean(axis=0)
        distances = np.linalg.norm(scaled[kind, number] - means, axis=1)
        right.append(int(distances.argmin()) == kind)
    return float(np.mean(right))


@pytest.mark.parametrize("family", families())
def test_variants_differ_in_sound_and_in_silhouette(family: str) -> None:
    names = families()[family]
    still: dict[str, Any] = {"x": 0.5, "y": 0.5, "size": 0.36, "drift": (0.0, 0.0), "tilt": 0.0}
    for features in (heard, seen):
        numbers = range(CLIPS[features.__name__])
        clips = [[features(alone(name, k, **still)) for k in numbers] for name in names]
        assert told_apart(clips) > (1 + 2 / len(names)) / 3, (family, features.__name__)
