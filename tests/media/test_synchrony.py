"""Sound and picture stay in step to one frame and 10 ms, measured with flashes and clicks."""

import atexit
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.media.decode import decode
from mmlib.runtime.arrays import Floats
from tests.media.flashing import FINE, SECONDS, TIMES, Source, pairs
from tests.media.making import join, make
from tests.properties import examples
from tests.samples import LIMITS

WHOLE = Source()
_X264 = "-c:v libx264 -preset veryfast -bf 3 -g 30"
# By the name's ending and what is special.
KINDS = {
    "mp4": f"{_X264} -c:a aac",
    "mp4 fragments": f"{_X264} -c:a aac -movflags frag_keyframe+empty_moov",
    "mp4 negative": f"{_X264} -c:a libmp3lame -movflags negative_cts_offsets",
    "mp4 opus": "-c:v mpeg4 -bf 2 -c:a libopus",
    "mov": "-c:v mjpeg -c:a pcm_s16le",
    "mov aac": f"{_X264} -c:a aac",
    "mkv": f"{_X264} -c:a libvorbis",
    "mkv ac3": f"{_X264} -c:a ac3",
    "mkv flac": "-c:v ffv1 -g 1 -c:a flac",
    "webm": "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus",
    "avi": "-c:v mjpeg -c:a pcm_s16le",
    "avi mpeg4": "-c:v mpeg4 -bf 2 -c:a libmp3lame",
    "avi h264": f"{_X264} -c:a ac3",
    "ts": f"{_X264} -c:a aac",
    "ts mpeg2": "-c:v mpeg2video -bf 2 -q:v 2 -c:a mp2",
    "mpg": "-c:v mpeg2video -bf 2 -q:v 2 -c:a mp2 -f vob",
    "mpg ac3": "-c:v mpeg2video -q:v 2 -c:a ac3 -f vob",
    "ogv": "-c:v libtheora -q:v 7 -c:a libvorbis",
    "flv": f"{_X264} -c:a aac",
    "flv mp3": "-c:v flv -q:v 3 -c:a libmp3lame -ar 44100",
    "wmv": "-c:v wmv2 -q:v 3 -c:a wmav2",
    "mxf": "-c:v mpeg2video -q:v 3 -c:a pcm_s16le",
    "nut": "-c:v mpeg4 -bf 2 -c:a flac",
}
# Packets are counted there: nothing in the file tells of a hole in the sound, or of a late begin.
_COUNTED = ("avi", "avi mpeg4", "avi h264", "mxf")
# Nor is there more than one length of a picture.
_EVEN = ("mxf", "ogv")
# What the tracks go through before they are encoded, and how many flashes with clicks remain.
_BEFORE = {
    "sound begins late": (Source(sound="atrim=start=0.3"), 5),
    "pictures begin late": (Source(pictures="trim=start=0.32"), 5),
    "sound ends early": (Source(sound="atrim=end=1.5"), 3),
    "pictures end early": (Source(pictures="trim=end=1.52"), 3),
    "any rate": (
        Source(pictures="select='not(mod(n\\,5))+lt(t\\,1)*not(mod(n\\,2))+gt(t\\,1.9)'"),
        5,
    ),
}
# What the file goes through afterwards: before it as an input, and after.
_AFTER = {
    "starts at 7.3 s": ("", "-output_ts_offset 7.3"),
    "cut within a group": ("-ss 0.73", ""),
    "sound has a gap": ("", "-bsf:a noise=drop='between(pts*tb\\,1.05\\,1.3)'"),
    "pictures have a gap": ("", "-bsf:v noise=drop='between(pts*tb\\,1.5\\,1.8)'"),
}
_UNTOLD = {
    *((kind, name) for kind in _COUNTED for name in (*_AFTER, "sound begins late")),
    *((kind, "any rate") for kind in _EVEN),
    ("mxf", "pictures begin late"),
    ("mov", "sound has a gap"),
}
TIMELINES = [
    (kind, name) for kind in KINDS for name in (*_BEFORE, *_AFTER) if (kind, name) not in _UNTOLD
]
# One of so many is tried in every run.
_SHARE = 13


@cache
def folder() -> Path:
    """Where this module's files lie."""
    made = TemporaryDirectory()
    atexit.register(made.cleanup)
    return Path(made.name)


def new_file(kind: str) -> Path:
    """A name that is not taken."""
    return folder() / f"{len(list(folder().iterdir()))}.{kind.split()[0]}"


@cache
def clip(kind: str, source: Source = WHOLE) -> Path:
    """A file of the kind."""
    return source.write(new_file(kind), f"{KINDS[kind]} -fps_mode passthrough")


def assert_in_step(file: Path, frame_s: float, least: int, begin: float | None = None) -> Floats:
    """At least so many flashes are in step with their clicks; times (n, 2) of both."""
    end = None if begin is None else 2.3
    times = pairs(decode(file, FINE, LIMITS, start_s=begin, end_s=end))
    assert len(times) >= least
    np.testing.assert_allclose(times[:, 0], times[:, 1], rtol=0, atol=frame_s + 0.01)
    return times


@pytest.mark.parametrize("kind", KINDS)
def test_containers_and_codecs(kind: str) -> None:
    """Also in a section, which is the whole less what comes before it."""
    times = assert_in_step(clip(kind), WHOLE.frame_s, 5)
    # Some containers begin where the encoder did: with what it needs to get going.
    np.testing.assert_allclose(times[:, 1], TIMES, atol=0.1)
    begin = 0.33 if kind.startswith("avi") else 1.234
    part = assert_in_step(clip(kind), WHOLE.frame_s, 2, begin)
    due = times[(times[:, 0] > begin + 0.05) & (times[:, 0] < 2.2)] - begin
    # AVI counts packets of sound, of up to 32 ms.
    np.testing.assert_allclose(part[-len(due) :], due, atol=0.02)


def assert_timeline_in_step(kind: str, name: str) -> None:
    """A file of the kind that has gone through what the name says."""
    if name in _BEFORE:
        source, least = _BEFORE[name]
        assert_in_step(clip(kind, source), source.frame_s, least)
        return
    before, after = _AFTER[name]
    whole = clip(kind)
    words = (Path(word) if "=" in word else word for word in after.split())
    file = make(new_file(kind), before, "-i", whole, "-c copy", *words)
    assert_in_step(file, WHOLE.frame_s, 3)


@pytest.mark.parametrize(("kind", "name"), TIMELINES[::_SHARE])
def test_timelines(kind: str, name: str) -> None:
    assert_timeline_in_step(kind, name)


@given(st.sampled_from(TIMELINES))
@examples(1)
def test_any_timeline(timeline: tuple[str, str]) -> None:
    """All of them, when much is drawn."""
    assert_timeline_in_step(*timeline)


@given(
    st.sampled_from(
        # Not MP3 in AVI, which cannot say that it begins 1105 samples early: a frame and 30 ms.
        ["mp4", "mov", "mkv", "mkv flac", "webm", "avi", "avi h264", "ts", "flv", "nut"]
    ),
    st.sampled_from(["10", "15", "24000/1001", "30000/1001", "60"]),
    st.sampled_from([8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000]),
    st.sampled_from([None, 0.31, 0.77, 1.1]),
)
@examples(8)
def test_rates(kind: str, fps: str, rate_hz: int, begin: float | None) -> None:
    source = Source(fps, rate_hz)
    codecs = KINDS[kind] + (" -ar 44100" if kind == "flv" else "")
    file = source.write(new_file(kind), codecs)
    assert_in_step(file, source.frame_s, 2, begin)


@pytest.mark.parametrize(
    ("ending", "codec"),
    [("ts", "aac"), ("ts", "ac3"), ("mkv", "ac3"), ("mkv", "libmp3lame"), ("mkv", "mp2")],
)
def test_sound_changes_its_rate_midway(ending: str, codec: str) -> None:
    parts = [
        Source(rate_hz=rate).write(new_file(ending), f"-c:v mpeg2video -q:v 2 -c:a {codec}")
        for rate in (48000, 32000)
    ]
    times = assert_in_step(join(new_file(ending), parts), WHOLE.frame_s, 10)
    np.testing.assert_allclose(times[5:, 1], times[:5, 1] + SECONDS, atol=0.06)


def test_pictures_that_nobody_sees_are_left_out_in_step() -> None:
    """Of a file so large that it pays: see `skipped_frames`."""
    source = Source("60")
    file = source.write(new_file("mp4"), f"{_X264} -s 128x96 -sws_flags neighbor -qp 4 -c:a aac")
    assert file.stat().st_size > 200_000
    coarse = replace(FINE, fps=10.0)
    decoded = decode(file, coarse, LIMITS)
    assert decoded.frames is not None
    bright = decoded.frames.mean((1, 2, 3)) > 128
    np.testing.assert_array_equal(np.flatnonzero(bright) / coarse.fps, TIMES)
