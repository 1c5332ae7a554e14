"""Every hostile and odd file of the shared collection does what its list says."""

import csv
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mmlib.media.decode import Decoded, decode
from mmlib.media.ffmpeg import Limits, MediaError
from mmlib.media.graph import Form

FORM = Form(sample_rate_hz=16000, fps=5.0, size=24)
# Only a decoder that hangs takes so long: the slowest of the files takes a second or two.
LIMITS = Limits(timeout_s=120.0)
CANARY = b"TOP-SECRET-CANARY-4711"


@pytest.fixture(scope="module")
def nasty(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("nasty")
    with tarfile.open(shared_dir / "nasty" / "media.tar") as archive:
        archive.extractall(folder, filter="data")
    before = sorted(path.name for path in folder.iterdir())
    yield folder
    assert sorted(path.name for path in folder.iterdir()) == before, "a file was made or taken away"


@pytest.fixture(scope="module")
def expected(shared_dir: Path) -> list[dict[str, str]]:
    with (shared_dir / "nasty" / "expected.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _attempt(path: Path) -> Decoded | MediaError:
    result: Decoded | MediaError
    try:
        result = decode(path, FORM, LIMITS)
    except MediaError as error:
        result = error
    assert not str(result).startswith("timeout"), path.name
    return result


def test_every_file_as_expected(nasty: Path, expected: list[dict[str, str]]) -> None:
    assert len(expected) > 40
    for row in expected:
        name, wanted = row["file"], row["decodes"]
        result = _attempt(nasty / name)
        if isinstance(result, MediaError):
            assert wanted in ("n", "either"), f"{name}: {result}"
            assert result.message, name
            continue
        assert wanted in ("y", "either"), f"{name} was decoded"
        _check_tracks(name, row, result)


def _check_tracks(name: str, row: dict[str, str], result: Decoded) -> None:
    assert (result.frames is not None) == (row["has_video"] == "1"), name
    assert (result.pcm is not None) == (row["has_audio"] == "1"), name
    if result.frames is not None and result.video_s is not None:
        assert result.video_s == pytest.approx(float(row["video_s"].strip("~")), abs=0.1), name
        assert len(result.frames) == pytest.approx(result.video_s * FORM.fps, abs=1.01), name
    if result.pcm is not None and result.audio_s is not None:
        assert result.audio_s == pytest.approx(float(row["audio_s"].strip("~")), abs=0.1), name
        assert len(result.pcm) == pytest.approx(result.audio_s * 16000, abs=0.1 * 16000), name
    if result.frames is not None and result.pcm is not None:
        assert result.offset_s == pytest.approx(0.0, abs=0.1), name
    damaged = row["category"] == "damaged"
    assert (result.damage is not None) == damaged, f"{name}: {result.damage}"


def test_nothing_of_other_files_gets_out(nasty: Path, expected: list[dict[str, str]]) -> None:
    for row in expected:
        if row["category"] in ("security", "canary"):
            result = _attempt(nasty / row["file"])
            assert isinstance(result, MediaError), row["file"]
            assert result.kind == "not_media", row["file"]
            assert CANARY.decode() not in str(result)
    assert not (nasty / "PWNED").exists()
    assert not Path("PWNED").exists()


def test_reasons(nasty: Path) -> None:
    for name, kind in {
        "zero_length.mp4": "empty_file",
        "missing_file_not_there.mp4": "missing_file",
        "directory_named_like_a_clip.mp4": "not_a_file",
        "decompression_bomb_12288x12288.mp4": "too_large",
        "random_bytes.mp4": "not_media",
        "text_renamed.mp4": "not_media",
    }.items():
        with pytest.raises(MediaError) as caught:
            decode(nasty / name, FORM, LIMITS)
        assert caught.value.kind == kind, name


def test_content_of_variants_of_one_clip(nasty: Path) -> None:
    """Containers, codecs and names of one clip: the same pictures and sound."""
    plain = decode(nasty / "h264_aac_plain.mp4", FORM, LIMITS)
    assert plain.frames is not None
    assert plain.pcm is not None
    for name in ("vp9_opus.webm", "mpeg2_mp2.mpg", "mjpeg_pcm.avi", "theora_vorbis.ogv",
                 "hevc_10bit.mp4", "mpeg2_ac3_transport_stream.ts", "no_extension_at_all",
                 "audio_5_1.mp4", "two_audio_streams.mp4", "audio_192k_flac.mkv"):  # fmt: skip
        other = decode(nasty / name, FORM, LIMITS)
        assert other.frames is not None
        assert other.pcm is not None
        count = min(len(plain.frames), len(other.frames))
        difference = other.frames[:count].astype(float) - plain.frames[:count]
        assert np.abs(difference).mean() < 8, name
        assert _likeness(plain.pcm, other.pcm) > 0.9, name
    turned = decode(nasty / "rotated_90_display_matrix.mp4", FORM, LIMITS).frames
    assert turned is not None
    difference = np.rot90(plain.frames, axes=(1, 2)).astype(float) - turned
    assert np.abs(difference).mean() < 8


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of the loudness over time, at steps of 10 ms."""
    envelopes = []
    for pcm in (one, other):
        blocks = pcm[: len(pcm) // 160 * 160].astype(float).reshape(-1, 160)
        envelopes.append(np.sqrt((blocks**2).mean(1)))
    count = min(map(len, envelopes))
    return float(np.corrcoef(envelopes[0][:count], envelopes[1][:count])[0, 1])


def test_degenerate_content(nasty: Path) -> None:
    black = decode(nasty / "grayscale_black_and_silence.mp4", FORM, LIMITS)
    assert black.frames is not None
    assert black.pcm is not None
    assert black.frames.max() < 8
    assert np.abs(black.pcm).max() <= 1
    loud = decode(nasty / "clipped_loud_dc_offset.mp4", FORM, LIMITS)
    assert loud.pcm is not None
    assert loud.pcm.max() == 32767


def test_damage_is_reported_alike_every_time(nasty: Path) -> None:
    for name in ("corrupt_bitflips.mp4", "truncated_mid_stream.mp4"):
        results = [decode(nasty / name, FORM, LIMITS) for _ in range(4)]
        assert len({result.damage for result in results}) == 1
        assert len({result.pcm.tobytes() for result in results if result.pcm is not None}) == 1
        assert len({r.frames.tobytes() for r in results if r.frames is not None}) == 1
