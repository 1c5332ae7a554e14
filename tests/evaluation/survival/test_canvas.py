"""From a stored clip to what is attacked, to a file, and back to what the nets see."""

import numpy as np
import pytest
import torch

from mmlib.evaluation.survival.canvas import Canvas, Reader
from mmlib.evaluation.survival.chain import AS_WRITTEN, Chain, Quality
from mmlib.media.ffmpeg import Limits
from mmlib.media.graph import Form
from mmlib.runtime.errors import UserError
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import read_manifest
from tests.evaluation.stress.project import BLIND, DECODE, FPS, MUTE, SIDE, Project

FORM = Form(DECODE.sample_rate_hz, DECODE.fps, DECODE.size)
ROWS = np.array([0, MUTE, BLIND])
MUTE_AT, BLIND_AT = 1, 2


def canvas(project: Project, side: int = SIDE, fps: float = FPS) -> Canvas:
    manifest = read_manifest(project.places.shards)
    reader = Reader(project.places.media, manifest, FORM, Limits(), side, fps)
    return reader.read(ShardSet(project.places.shards, "eval"), ROWS)


def chain(project: Project, *reads: str) -> Chain:
    manifest = read_manifest(project.places.shards)
    return Chain(manifest, FORM, Limits(), reads or ("audio", "video"))


def test_sound_is_that_of_the_shards_and_pictures_are_all_there(project: Project) -> None:
    found, split = canvas(project), ShardSet(project.places.shards, "eval")
    inputs = found.inputs()
    assert torch.equal(inputs["audio"], split.waveforms(ROWS))
    assert inputs["audio_present"].tolist() == [True, False, True]
    assert inputs["video_present"].tolist() == [True, True, False]
    assert found.frames.shape == (3, 8, SIDE, SIDE, 3)
    assert not found.frames[BLIND_AT].any()
    assert not found.pcm[MUTE_AT].any()


@pytest.mark.parametrize("fps", [FPS, 5.0, 10.0])
def test_the_pictures_shown_are_those_that_the_pipeline_takes(project: Project, fps: float) -> None:
    """A clip whose pictures hold their own number comes back with the numbers of `shown`."""
    found = canvas(project, fps=fps)
    count = len(found.stretch)
    numbers = np.arange(count, dtype=np.uint8)[None, :, None, None, None] * np.uint8(20)
    frames = np.broadcast_to(numbers, found.frames.shape).copy()
    seen = chain(project).through(found, found.pcm, frames, AS_WRITTEN)
    assert np.rint(seen["video"][0, 0, :, 0, 0].numpy() * 255 / 20).tolist() == found.shown.tolist()
    assert found.stretch[found.shown].tolist() == list(range(len(found.shown)))
    assert (np.diff(found.stretch) >= 0).all()


def test_what_was_not_touched_is_written_as_it_was(project: Project) -> None:
    found = canvas(project)
    pcm, frames = found.written(found.inputs())
    assert np.array_equal(pcm, found.pcm)
    assert np.array_equal(frames, found.frames)


def test_a_change_lies_over_the_stretch_of_its_frame(project: Project) -> None:
    found = canvas(project)
    points = found.inputs()
    points["video"][:, :, 1] += 3 / 255
    points["audio"][:, 7] += 2 / 32768
    pcm, frames = found.written(points)
    changed = (frames.astype(int) - found.frames)[0, :, 0, 0, 0]
    assert changed.tolist() == (3 * (found.stretch == 1)).tolist()
    assert (pcm.astype(int) - found.pcm)[0, 5:9].tolist() == [0, 0, 2, 0]


def test_the_attacker_s_own_file_loses_nothing_but_what_scaling_does(project: Project) -> None:
    found, through = canvas(project), chain(project)
    seen = through.through(found, found.pcm, found.frames, AS_WRITTEN)
    smooth = through.front(found.inputs())
    assert torch.equal(seen["audio"], smooth["audio"])
    assert seen["video"].shape == smooth["video"].shape == (3, 3, 2, 16, 16)
    here = [place for place in range(3) if place != BLIND_AT]
    assert float((seen["video"] - smooth["video"])[here].abs().mean()) < 0.01
    assert seen["audio_present"].tolist() == [True, False, True]


def test_a_worse_quality_is_further_away_and_absent_tracks_stay_away(project: Project) -> None:
    found, through = canvas(project), chain(project)
    smooth = through.front(found.inputs())
    away = []
    for quality in (Quality("mp4", 18, 96), Quality("mp4", 45, 16)):
        seen = through.through(found, found.pcm, found.frames, quality)
        away.append([float((seen[m] - smooth[m])[0].abs().mean()) for m in ("audio", "video")])
        assert not seen["video"][BLIND_AT].any()
        assert not seen["audio"][MUTE_AT].any()
    assert np.all(np.array(away[1]) > 2 * np.array(away[0]))


def test_a_run_of_sound_alone_has_no_pictures_encoded(project: Project) -> None:
    found = canvas(project)
    seen = chain(project, "audio").through(found, found.pcm, found.frames, Quality("webm", 40, 24))
    assert set(seen) == {"audio", "audio_present"}


def test_a_clip_that_ffmpeg_refuses_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = canvas(project)
    monkeypatch.setenv("MMLIB_FFMPEG", "/bin/false")
    from mmlib.media import ffmpeg

    ffmpeg.binary.cache_clear()
    try:
        with pytest.raises(UserError):
            chain(project).through(found, found.pcm, found.frames, AS_WRITTEN)
    finally:
        monkeypatch.undo()
        ffmpeg.binary.cache_clear()
