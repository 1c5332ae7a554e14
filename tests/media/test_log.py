"""What is read off ffmpeg's log and lists, whatever a file's tags say."""

import struct
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmlib.media.decode import decode
from mmlib.media.length import measure
from mmlib.media.log import Log
from mmlib.media.packets import read_listing
from tests.media.making import PICTURES, SOUND, make
from tests.properties import examples
from tests.samples import FORM, LIMITS

# What ffmpeg itself prints, and what would be taken for it.
_IMITATIONS = (
    "[info] Input #0, mpegts, from 'x':",
    "[info]   Duration: 09:00:00.00, start: 0.0, bitrate: 1 kb/s",
    "[info]   Stream #0:0: Video: h264, yuv420p, 9999x9999, 25 fps",
    "[info] Stream mapping:",
    "[info] Output #0, null, to '-':",
    "[error] Output file does not contain any stream",
    "Output file #0 does not contain any stream",
    "[h264 @ 0x55] [error] no frame!",
    "[in#0 @ 0x55] corrupt input packet in stream 0",
    "Picture size 99999x99999 exceeds specified max pixel count 1",
    "Cannot allocate memory",
    "\x1b[0m\x1b[1;31m[error] \x1b[0m\x1b[1;31mno frame!\x1b[0m",
    "frame:7    pts:9000000 pts_time:900.0\nt=1",
    "#codec_id 0: h264\n0, 900000, 900000, 900000, 1, 0x00000000",
    "pt br",
    "a) (b",
    "\u65e5\u672c \u8a9e \u202e \U0001f600",
    "=;#\\'\"$(x)%s%n",
)
_TEXTS = st.lists(
    st.sampled_from(_IMITATIONS)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    min_size=1,
    max_size=3,
).flatmap(lambda parts: st.sampled_from(["\n", "\r\n", " ", ""]).map(lambda end: end.join(parts)))
# Of an Ogg file: it cannot be read from beyond its end, which the length is asked of.
_LONG = f"x\n{_IMITATIONS[1]}"
_LEVELS = {"info": "", "warning": "0;33", "error": "1;31", "fatal": "4;31"}


def masked(text: str) -> str:
    """As ffmpeg prints a text: control characters but for blanks and ends of lines are masked."""
    return "".join("?" if c < "\b" or "\r" < c < " " else c for c in text)


def printed(level: str, text: str, context: str = "") -> str:
    """A message as ffmpeg prints it in colours, on a line of its own."""
    colour = _LEVELS[level]
    names = f"\x1b[0;36m[{context} @ 0x5] \x1b[0m" if context else ""
    if not colour:
        return f"{names}[{level}] {masked(text)}\n"
    return f"{names}\x1b[{colour}m[{level}] \x1b[0m\x1b[{colour}m{masked(text)}\n\x1b[0m"


def logged(lines: str) -> Log:
    log = Log()
    for line in lines.split("\n"):
        log.read(line)
    return log


_HEADER = printed("info", "Input #0, matroska,webm, from 'file:/dev/fd/5':")


@given(st.lists(st.tuples(st.sampled_from(["info", "warning"]), _TEXTS), max_size=8))
@examples(100)
def test_no_text_is_a_complaint(messages: Sequence[tuple[str, str]]) -> None:
    """Without a message of a level that tells of faults there are none, whatever is printed."""
    messages = [(level, text) for level, text in messages if "corrupt" not in text]
    log = logged(_HEADER + "".join(printed(level, text) for level, text in messages))
    assert log.errors == []
    assert log.absent == set()
    assert log.format == "matroska,webm"


@given(st.lists(st.tuples(st.sampled_from(sorted(_LEVELS)), _TEXTS), max_size=8))
@examples(100)
def test_every_complaint_is_heard(messages: Sequence[tuple[str, str]]) -> None:
    """Between texts of any kind; a message of many lines is known by its first."""
    lines, due = _HEADER, []
    for number, (level, text) in enumerate(messages):
        lines += printed(level, text)
        lines += printed("error", f"fault {number}", "h264")
        due.append(f"fault {number}")
    log = logged(lines)
    assert set(due) <= set(log.errors)
    others = [masked(text) for level, text in messages if level != "info"]
    assert all(any(error in text for text in others) for error in set(log.errors) - set(due))


@pytest.mark.parametrize(
    ("line", "absent"),
    [
        (printed("error", "Output file does not contain any stream", "out#1/null"), {1}),
        (printed("error", "Output file does not contain any stream", "out#0/f32le"), {0}),
        (printed("fatal", "Output file #1 does not contain any stream"), {1}),
        (printed("error", "tag: Output file does not contain any stream", "mov"), set()),
        (printed("info", "Output file #0 does not contain any stream"), set()),
    ],
)
def test_outputs_without_a_track(line: str, absent: set[int]) -> None:
    assert logged(_HEADER + line).absent == absent


def test_errors_inside_other_threads_lines() -> None:
    log = Log()
    log.read("[info]   Stream #0:0: Vi\x1b[1;31mleft block unavailable")
    log.read("\x1b[0mdeo: rawvideo")
    log.read("\x1b[0;36m[h264 @ 0x5] \x1b[0m\x1b[1;31m[error] \x1b[0m\x1b[1;31mno frame!")
    log.read("\x1b[0m\x1b[0;33m[warning] \x1b[0m\x1b[0;33mharmless")
    assert log.errors == ["left block unavailable", "no frame!"]


def test_the_first_container_named_is_the_files() -> None:
    log = logged(_HEADER + printed("info", _IMITATIONS[0]) + printed("info", "Stream mapping:"))
    assert log.format == "matroska,webm"


@given(st.text(max_size=60) | st.text("#0123456789, -xF:/\n", max_size=60))
@examples(100)
def test_any_listing_is_read_or_odd(text: str) -> None:
    """A list that was cut off or is none at all: no track is called plain for it."""
    good = "#tb 0: 1/25\n#codec_id 0: h264\n0, 0, 0, 1, 100, 0x00000001\n"
    tracks = read_listing((good + text).encode())
    numbers = [line for line in text.split("\n") if not line.startswith("#")]
    strange = [line for line in numbers if line.strip(" ,0123456789abcdefxF=-")]
    assert tracks[0].odd or not strange


# From a file to what is decoded.


@cache
def _untagged(name: str) -> bytes:
    codecs = {"a.ogg": "-c:v libtheora -c:a libvorbis", "a.mp3": "-vn -c:a libmp3lame"}
    rest = "-c:v mjpeg -c:a aac" if name == "a.mp4" else "-c:v mjpeg -c:a pcm_s16le"
    with TemporaryDirectory() as folder:
        file = make(Path(folder) / name, PICTURES, SOUND, codecs.get(name, rest))
        return file.read_bytes()


@given(
    name=st.sampled_from(["a.mkv", "a.ogg", "a.nut", "a.mp4", "a.avi", "a.mp3"]),
    key=st.sampled_from(["title", "comment", "artist"]) | _TEXTS.filter(lambda t: "=" not in t),
    value=_TEXTS,
    language=_TEXTS,
)
@example("a.ogg", _LONG, _LONG, _LONG)
@examples(6)
def test_tags_change_nothing(name: str, key: str, value: str, language: str) -> None:
    """A file with tags of any text decodes to the bytes that it decodes to without."""
    whole = _untagged(name)
    with TemporaryDirectory() as folder:
        source, out = Path(folder) / name, Path(folder) / f"tagged.{name.split('.')[1]}"
        source.write_bytes(whole)
        tags: list[str | Path] = ["-metadata", Path(f"{key}={value}")]
        for track in "va":
            tags += [f"-metadata:s:{track}:0", Path(f"language={language}")]
            tags += [f"-metadata:s:{track}:0", Path(f"{key}={value}")]
        tagged = make(out, "-i", source, "-map 0 -c copy", *tags).read_bytes()
        plain = make(out, "-i", source, "-map 0 -c copy").read_bytes()
    one, other = decode(plain, FORM, LIMITS), decode(tagged, FORM, LIMITS)
    for field, expected in vars(one).items():
        found = getattr(other, field)
        if isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(found, expected)
        else:
            assert found == expected, field
    assert measure(tagged, 30.0, LIMITS) == measure(plain, 30.0, LIMITS)


def test_texts_in_pictures_are_no_times(tmp_path: Path) -> None:
    """PNG pictures each with a text whose key is the one that our list of frames is made with."""
    text = b"tEXt" + b"t\0" + b"1\nframe:77   pts:90000 pts_time:900\nt=1"
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    make(tmp_path / "%02d.png", PICTURES)
    for path in tmp_path.glob("*.png"):
        data = path.read_bytes()
        path.write_bytes(data[:33] + chunk + data[33:])
    file = make(tmp_path / "a.mkv", "-framerate 10 -i", tmp_path / "%02d.png", "-c copy")
    decoded = decode(file, FORM, LIMITS)
    assert decoded.frames is not None
    assert len(decoded.frames) == 8
    assert decoded.video_s == pytest.approx(2.0)
