"""Sound out of time, other sound, and tracks taken away."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.evaluation.stress import timing
from mmlib.evaluation.stress.clips import Clips, frame_times, partners, read_clips
from mmlib.evaluation.stress.conditions import Condition
from mmlib.features import clip_frames
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import read_manifest
from tests.evaluation.stress.project import BLIND, CLIPS, MUTE, RATE, Project


@given(samples=st.integers(-12, 12))
def test_a_shift_moves_and_fills_with_silence(samples: int) -> None:
    pcm = np.arange(1, 11, dtype=np.int16)[None]
    moved = timing.delayed(pcm, samples)
    for place in range(10):
        source = place - samples
        assert moved[0, place] == (pcm[0, source] if 0 <= source < 10 else 0)


def all_clips(project: Project) -> tuple[ShardSet, Clips]:
    split = ShardSet(project.places.shards, "eval")
    return split, read_clips(split, read_manifest(project.places.shards), np.arange(CLIPS))


def test_seconds_are_seconds(project: Project) -> None:
    _, clips = all_clips(project)
    late = timing.shifted(clips, Condition("shift", "sound", 0.25, "0.25 s late", ""))
    assert late.pcm is not None
    assert np.array_equal(late.pcm[:, RATE // 4 :], clips.pcm[:, : -RATE // 4])
    assert not late.pcm[:, : RATE // 4].any()
    assert late.changed["audio"].sum() == CLIPS - 1


@pytest.mark.parametrize("swap", ["same_class", "other_class"])
def test_partners_share_a_label_or_none(project: Project, swap: str) -> None:
    split, clips = all_clips(project)
    rows = list(range(CLIPS))
    found = partners(split, rows, swap, 5)
    assert found[MUTE] == -1
    for row, other in enumerate(found):
        if other >= 0:
            assert other not in (row, MUTE)
            shares = bool((split.labels[row] & split.labels[other]).any())
            assert shares == (swap == "same_class")
    assert (found >= 0).sum() == CLIPS - 1
    assert np.array_equal(partners(split, rows[3:], swap, 5), found[3:])
    condition = Condition("swap", swap, 0.0, "other", "")
    changed = timing.swapped(clips, condition, split, 5)
    assert changed.pcm is not None
    for row, other in enumerate(found):
        assert np.array_equal(changed.pcm[row], clips.pcm[other if other >= 0 else row])


def test_a_clip_without_a_partner_keeps_its_sound(project: Project) -> None:
    split, clips = all_clips(project)
    split.labels = np.ones_like(split.labels)
    changed = timing.swapped(clips, Condition("swap", "other_class", 0.0, "x", ""), split, 5)
    assert not changed.changed["audio"].any()
    assert changed.pcm is not None
    assert np.array_equal(changed.pcm, clips.pcm)


def test_a_dropped_track_is_dropped_where_it_was(project: Project) -> None:
    _, clips = all_clips(project)
    dropped = timing.dropped(clips, Condition("drop", "video", 0.0, "", "absent"))
    assert dropped.dropped == "video"
    assert np.flatnonzero(~dropped.changed["video"]).tolist() == [BLIND]


def test_frames_are_shown_when_they_were_picked(project: Project) -> None:
    """Against the frames that `clip_frames` picks from pictures that hold their own time."""
    grid = np.arange(200) / 100
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[:, None, None, None], 3, axis=3)
    ramp = np.broadcast_to(ramp, (200, 8, 8, 3))
    for rate in (None, 4.0):
        facts = {"seconds": 1.5, "video": {"frames": 5, "rate_hz": rate}}
        picked = clip_frames(ramp, grid, seconds=1.5, count=5, size=8, rate_hz=rate)[:, 0, 0, 0]
        np.testing.assert_allclose(picked / 100, frame_times(facts), atol=0.011)
