"""Files damaged by structure, in every container: refused, or decoded in order."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.media.decode import Decoded, decode
from mmlib.media.ffmpeg import Limits, MediaError
from tests.media.damaging import DAMAGES, damaged
from tests.media.making import PICTURES, SOUND, make
from tests.media.units import KINDS
from tests.properties import examples
from tests.samples import FORM, RATE_HZ

# Only a decoder that hangs takes so long.
LIMITS = Limits(timeout_s=120.0)
_KINDS_OF_REFUSAL = {
    "empty_file", "not_media", "no_tracks", "too_large", "too_long", "undecodable", "memory",
}  # fmt: skip


def attempt(data: bytes) -> Decoded | MediaError:
    try:
        return decode(data, FORM, LIMITS)
    except MediaError as error:
        return error


@given(st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(DAMAGES)), st.integers(0, 1 << 32))
@examples(25)
def test_damaged_files(kind: str, damage: str, seed: int) -> None:
    data = damaged(kind, damage, seed)
    result, again = attempt(data), attempt(data)
    if isinstance(result, MediaError):
        assert result.kind in _KINDS_OF_REFUSAL
        assert str(again) == str(result)
        return
    assert isinstance(again, Decoded)
    for name, value in vars(result).items():
        assert np.array_equal(value, getattr(again, name)), f"{name} differs from run to run"
    assert_in_order(result)


def assert_in_order(decoded: Decoded) -> None:
    """Both tracks are as long as they say, on the clock of the clip."""
    assert decoded.frames is not None or decoded.pcm is not None
    late = decoded.offset_s or 0.0
    if decoded.frames is not None:
        assert decoded.video_s is not None
        assert 0 <= decoded.video_s <= LIMITS.max_seconds + 1
        least = math.ceil((decoded.video_s - max(0.0, -late)) * FORM.fps - 1)
        assert len(decoded.frames) >= max(1, least)
    if decoded.pcm is not None:
        assert decoded.audio_s is not None
        assert 0 <= decoded.audio_s <= LIMITS.max_seconds + 1
        assert len(decoded.pcm) / RATE_HZ >= decoded.audio_s - max(0.0, -late) - 0.01


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("a.mkv", "-c:v libx264 -g 25 -c:a aac"),
        ("a.avi", "-c:v mpeg4 -g 25 -c:a libmp3lame"),
    ],
)
def test_damage_after_a_section_is_not_the_sections(tmp_path: Path, name: str, codecs: str) -> None:
    """However far ffmpeg reads ahead of its end, which is chance."""
    pictures, sound = "-f lavfi -i testsrc2=s=64x48:r=25:d=6", "-f lavfi -i sine=d=6"
    data = bytearray(make(tmp_path / name, pictures, sound, codecs).read_bytes())
    middle = len(data) // 2
    for place in np.random.default_rng(1).integers(middle, middle + len(data) // 20, 200).tolist():
        data[place] ^= 0x55
    before = [decode(bytes(data), FORM, LIMITS, start_s=1.0, end_s=2.6) for _ in range(3)]
    assert [decoded.damage for decoded in before] == [None] * 3
    assert decode(bytes(data), FORM, LIMITS, start_s=1.0, end_s=5.0).damage is not None


def test_time_stamps_that_run_back_are_damage(tmp_path: Path) -> None:
    """Two parts whose stamps both begin at 0, in a container that joins nothing."""
    half = make(tmp_path / "half.mkv", PICTURES, SOUND, "-c:v mjpeg -c:a pcm_s16le").read_bytes()
    begin = half.index(bytes.fromhex("1f43b675"))
    decoded = decode(half + half[begin:], FORM, LIMITS)
    assert decoded.damage is not None


@pytest.mark.parametrize("section", [{}, {"start_s": 0.0, "end_s": 1.5}])
def test_one_stamp_far_beyond_the_end_is_damage(tmp_path: Path, section: dict[str, float]) -> None:
    """Reading ends at it, though what follows is in its place."""
    codecs, container = KINDS["flv"]
    data = bytearray(make(tmp_path / "a.flv", PICTURES, SOUND, codecs).read_bytes())
    assert decode(bytes(data), FORM, LIMITS, **section).damage is None
    sounds = [unit for unit in container(bytes(data)) if data[unit.begin] == 8]
    data[sounds[8].begin + 4 : sounds[8].begin + 7] = (500_000).to_bytes(3)
    decoded = decode(bytes(data), FORM, LIMITS, **section)
    assert decoded.pcm is not None
    assert len(decoded.pcm) < RATE_HZ
    assert decoded.damage_kinds == ("audio_times",)
