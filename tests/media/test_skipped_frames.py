"""Leaving out pictures that nobody will look at must change nothing but the work."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from mmlib.media import reading, skipped_frames
from mmlib.media.decode import Decoded, decode
from mmlib.media.encode import encode
from mmlib.media.ffmpeg import Limits, binary
from mmlib.media.graph import Form, Section
from tests.samples import tone

SECONDS, SOURCE_FPS = 5.0, 25.0
LIMITS = Limits(max_seconds=60.0)


def noisy(count: int) -> bytes:
    """A clip in which every picture differs from its neighbours, large enough to be worth it."""
    generator = np.random.default_rng(1)
    frames = np.zeros((count, 144, 176, 3), np.uint8)
    texture = generator.integers(0, 160, (144, 352, 3), np.uint8)
    for number in range(count):
        frames[number] = texture[:, number : number + 176]
        frames[number] += generator.integers(0, 90, (144, 176, 3), np.uint8)
    return encode(frames, tone(SECONDS), fps=SOURCE_FPS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip in several shapes."""
    folder = tmp_path_factory.mktemp("unseen")
    (folder / "plain.mp4").write_bytes(noisy(int(SECONDS * SOURCE_FPS)))
    shapes = {
        "open_gop": "-c:v libx264 -x264-params bframes=8:b-pyramid=strict:open-gop=1:keyint=20",
        "interlaced": "-c:v libx264 -x264-params interlaced=1:bframes=3",
        "baseline": "-c:v libx264 -profile:v baseline",
        "uneven": "-c:v libx264 -bf 3 -vf select='gt(random(1)\\,0.4)' -fps_mode vfr",
        "film": "-c:v libx264 -bf 3 -r 24000/1001",
        "edited": "-ss 1.7 -c copy",
    }
    for name, options in shapes.items():
        source, out = str(folder / "plain.mp4"), str(folder / f"{name}.mp4")
        command = [binary(), "-v", "error", "-i", source, *options.split(), "-threads", "1", out]
        subprocess.run(command, check=True)
    return folder


def same(first: Decoded, second: Decoded) -> bool:
    values = zip(vars(first).values(), vars(second).values(), strict=True)
    return all(
        np.array_equal(a, b) if isinstance(a, np.ndarray) else bool(a == b) for a, b in values
    )


def all_pictures(monkeypatch: pytest.MonkeyPatch, source: bytes | Path, form: Form) -> Decoded:
    with monkeypatch.context() as patch:
        patch.setattr(reading, "find_unseen", lambda *_: None)
        return decode(source, form, LIMITS)


@pytest.mark.parametrize("fps", [2.0, 7.5, 29.97])
@pytest.mark.parametrize(
    "shape", ["plain", "open_gop", "interlaced", "baseline", "uneven", "film", "edited"]
)
def test_decodes_to_the_same(
    folder: Path, shape: str, fps: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, form = folder / f"{shape}.mp4", Form(16000, fps, 48)
    full = all_pictures(monkeypatch, source, form)
    assert same(decode(source, form, LIMITS), full)
    assert same(decode(source.read_bytes(), form, LIMITS), full)


@pytest.mark.parametrize("end_s", [2.3, 5.0, 9.0])
def test_a_section_decodes_to_the_same(
    folder: Path, end_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = Form(16000, 2.0, 48)
    quick = decode(folder / "plain.mp4", form, LIMITS, end_s=end_s)
    with monkeypatch.context() as patch:
        patch.setattr(reading, "find_unseen", lambda *_: None)
        assert same(quick, decode(folder / "plain.mp4", form, LIMITS, end_s=end_s))


def find(source: Path, fps: float) -> skipped_frames.Unseen | None:
    return skipped_frames.find_unseen(
        source, Form(16000, fps, 48), Section(0.0, None, 60.0), LIMITS
    )


def test_pictures_are_left_out_where_it_pays(folder: Path, tmp_path: Path) -> None:
    found = find(folder / "plain.mp4", 2.0)
    assert found is not None
    assert len(found.times) == SECONDS * SOURCE_FPS
    np.testing.assert_allclose(found.times, np.arange(len(found.times)) / SOURCE_FPS, atol=1e-6)
    assert len(found.left) < 0.7 * len(found.times)
    # Every picture that a grid time shows stays, and so do the first and the last.
    shown = {picture_at(tick * SOURCE_FPS / 2.0) for tick in range(10)} | {0, len(found.times) - 1}
    assert shown <= set(np.round(found.left * SOURCE_FPS).astype(int).tolist())
    # At the source's own rate all are seen; a baseline stream refers to all.
    assert find(folder / "plain.mp4", 25.0) is None
    assert find(folder / "baseline.mp4", 2.0) is None
    assert find(folder / "edited.mp4", 2.0) is None
    small = tmp_path / "small.mp4"
    small.write_bytes(encode(np.zeros((50, 32, 32, 3), np.uint8), None))
    assert find(small, 2.0) is None


def picture_at(value: float) -> int:
    return int(np.floor(value + 1e-9))


def test_damage_is_told_as_without(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (folder / "plain.mp4").read_bytes()
    form = Form(16000, 2.0, 48)
    generator = np.random.default_rng(2)
    damaged = bytearray(whole)
    for place in generator.integers(len(whole) // 2, len(whole) - 2000, 60).tolist():
        damaged[place] ^= 0xFF
    for source in (bytes(damaged), whole[: int(0.8 * len(whole))]):
        full = all_pictures(monkeypatch, source, form)
        assert full.damage
        assert same(decode(source, form, LIMITS), full)
