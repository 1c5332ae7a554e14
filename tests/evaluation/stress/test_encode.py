"""Media encoded again by ffmpeg: what comes back, and what is told where it cannot be."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmlib.evaluation.encoded.cut import cut, stored_media
from mmlib.evaluation.mixing import snr_db
from mmlib.evaluation.stress import encode as module
from mmlib.evaluation.stress.clips import read_clips
from mmlib.evaluation.stress.conditions import ENCODING, Condition
from mmlib.evaluation.stress.corruptions.pixels import psnr_db
from mmlib.evaluation.stress.encode import Recoder
from mmlib.media.decode import decode
from mmlib.media.ffmpeg import Limits, MediaError
from mmlib.media.graph import Form
from mmlib.media.recode import Rung, recode
from mmlib.runtime.errors import UserError
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import read_manifest
from tests.evaluation.stress.project import BLIND, CLIPS, DECODE, MUTE, Project
from tests.media.making import make

FORM = Form(DECODE.sample_rate_hz, DECODE.fps, DECODE.size)
LADDERS = {"h264_aac": (Rung(0, 256), Rung(30, 48), Rung(51, 16)), "vp9_opus": (Rung(10, 128),)}


def recoder(project: Project) -> Recoder:
    manifest = read_manifest(project.places.shards)
    return Recoder(project.places.media, manifest, FORM, Limits(), threads=2)


def conditions(kind: str) -> list[Condition]:
    count = len(LADDERS[kind])
    return [Condition(ENCODING, kind, float(rung), "a", "b") for rung in range(1, count + 1)]


def test_the_stored_file_itself_gives_the_clip_of_the_shards(project: Project) -> None:
    """The known answer of cutting: without encoding again, not a bit differs."""
    split = ShardSet(project.places.shards, "eval")
    manifest = read_manifest(project.places.shards)
    clips = read_clips(split, manifest, np.arange(CLIPS))
    rows = stored_media(project.places.media, clips.clip_ids)
    for place, clip_id in enumerate(clips.clip_ids):
        tracks = cut(rows[clip_id]["media"], manifest, FORM, Limits())
        assert ("audio" in tracks, "video" in tracks) == (place != MUTE, place != BLIND)
        if "audio" in tracks:
            assert np.array_equal(tracks["audio"], clips.pcm[place])
        if "video" in tracks:
            assert np.array_equal(tracks["video"], clips.frames[place])


@pytest.mark.parametrize("kind", LADDERS)
def test_a_good_encoding_is_nearly_the_clip_and_a_bad_one_is_worse(
    project: Project, kind: str
) -> None:
    split = ShardSet(project.places.shards, "eval")
    clips = read_clips(split, read_manifest(project.places.shards), np.array([0, MUTE, BLIND]))
    failures: dict[str, str] = {}
    found = list(recoder(project).encoded(clips, conditions(kind), LADDERS[kind], failures))
    assert not failures
    assert found[0].changed["audio"].tolist() == [True, False, True]
    assert found[0].changed["video"].tolist() == [True, True, False]
    for altered in found:
        assert altered.pcm is not None
        assert altered.frames is not None
        assert np.array_equal(altered.pcm[1], clips.pcm[1])
        assert np.array_equal(altered.frames[2], clips.frames[2])
    ratios = [snr_db(clips.pcm[0], altered.pcm[0]) for altered in found]  # type: ignore[index]
    peaks = [psnr_db(clips.frames[0], altered.frames[0]) for altered in found]  # type: ignore[index]
    assert ratios[0] > 15
    assert peaks[0] > 38
    assert all(np.diff(peaks) < -2)
    assert all(np.diff(ratios) < -2)


def test_a_section_is_encoded_and_no_more(tmp_path: Path) -> None:
    source = make(
        tmp_path / "two.mp4",
        "-f lavfi -i testsrc=s=64x48:r=10:d=3 -f lavfi -i aevalsrc=sin(2*PI*(300+400*t)*t):d=3",
        "-c:v libx264 -pix_fmt yuv420p -g 50 -c:a aac",
    )
    (file,) = recode(source, "mp4", [Rung(0, 256)], Limits(), start_s=1.3, end_s=2.3)
    whole = decode(source, FORM, Limits(), start_s=1.3, end_s=2.3)
    again = decode(file, FORM, Limits())
    assert whole.frames is not None
    assert again.frames is not None
    assert whole.pcm is not None
    assert again.pcm is not None
    assert len(again.frames) == len(whole.frames)
    assert psnr_db(whole.frames, again.frames) > 35
    assert abs(len(again.pcm) - len(whole.pcm)) <= 1024
    count = min(len(again.pcm), len(whole.pcm))
    assert snr_db(whole.pcm[:count], again.pcm[:count]) > 15
    assert recode(source, "mp4", [Rung(0, 256)], Limits(), start_s=1.3, end_s=2.3) == [file]


def test_odd_sizes_lose_a_row_and_a_column(tmp_path: Path) -> None:
    source = make(tmp_path / "odd.mkv", "-f lavfi -i testsrc=s=33x25:r=5:d=1 -c:v ffv1")
    for container in ("mp4", "webm"):
        (file,) = recode(source, container, [Rung(20, 32)], Limits())
        found = decode(file, FORM, Limits())
        assert found.frames is not None
        assert found.pcm is None


def test_a_clip_that_cannot_be_encoded_again_stays_and_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(source: object, container: str, *rest: object, **more: object) -> list[bytes]:
        raise MediaError("encode", f"no {container} today")

    monkeypatch.setattr(module, "recode", broken)
    split = ShardSet(project.places.shards, "eval")
    clips = read_clips(split, read_manifest(project.places.shards), np.array([0, 1]))
    failures: dict[str, str] = {}
    (altered,) = recoder(project).encoded(
        clips, conditions("vp9_opus"), LADDERS["vp9_opus"], failures
    )
    assert failures == {f"clip-{n}": "vp9_opus: encode: no webm today" for n in (0, 1)}
    assert altered.pcm is not None
    assert np.array_equal(altered.pcm, clips.pcm)
    assert not altered.changed["video"].any()


def test_a_clip_that_the_fetched_ones_lack_is_named(project: Project) -> None:
    with pytest.raises(UserError, match="no clip 'gone', which data/shards holds"):
        stored_media(project.places.media, ["clip-1", "gone"])
    lost = replace(recoder(project), media=project.root / "nothing")
    (project.root / "nothing").mkdir(exist_ok=True)
    with pytest.raises(UserError, match="no clips in"):
        stored_media(lost.media, ["clip-1"])
