"""Files cut short: what their own structure tells, and that it tells nothing of a whole one."""

import io
import math
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mmlib.media.decode import decode
from mmlib.media.ending import lacks_parts
from mmlib.media.ffmpeg import MediaError, binary
from tests.media.damaging import whole
from tests.media.making import PICTURES, SOUND, make
from tests.media.units import KINDS
from tests.samples import FORM, LIMITS

# Streams that may end anywhere between two packets.
_STREAMS = ("ts", "mpg", "aac", "ac3", "ivf", "nut")
# Told by the number of bytes, or by a mark at the end.
_TOLD = ("aiff", "au", "avi", "caf", "flv", "gif", "mxf", "ogv", "opus", "w64", "wav")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_whole_file_is_whole(kind: str) -> None:
    assert decode(whole(kind), FORM, LIMITS).damage is None


@pytest.mark.parametrize("kind", _TOLD)
def test_any_cut_is_told(kind: str) -> None:
    data, generator = whole(kind), np.random.default_rng(1)
    cuts = {unit.begin for unit in KINDS[kind][1](data)} | set(
        generator.integers(1000, len(data), 40)
    )
    # Of MXF the footer, which holds nothing of the clip, may be missing.
    latest = len(data) - (2000 if kind == "mxf" else 1)
    for cut in (cut for cut in cuts if 1000 < cut <= latest):
        assert lacks_parts(io.BytesIO(data[:cut]), math.inf), cut
    assert not lacks_parts(io.BytesIO(data), math.inf)


@pytest.mark.parametrize("kind", ["gif", "ivf", "mxf", "ogv", "opus"])
def test_zeros_in_place_of_the_rest_are_told(kind: str) -> None:
    """A download that was given its size beforehand and never came to its end."""
    data = whole(kind)
    for share in (0.3, 0.6, 0.9):
        held = data[: round(share * len(data))]
        assert lacks_parts(io.BytesIO(held.ljust(len(data), b"\0")), math.inf)
    assert not lacks_parts(io.BytesIO(data), math.inf)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(_STREAMS) - {"m4a"}))
def test_a_cut_file_is_damaged_or_refused(kind: str) -> None:
    """Cut between two units, where no decoder stumbles; what is too little to be missed is free."""
    data = whole(kind)
    units = list(KINDS[kind][1](data))
    for share in (0.3, 0.8):
        try:
            decoded = decode(data[: units[int(share * len(units))].begin], FORM, LIMITS)
        except MediaError:
            continue
        assert decoded.damage is not None


def test_the_last_frame_of_an_mp3() -> None:
    """14 ms of sound are in it."""
    data = whole("mp3")
    units = list(KINDS["mp3"][1](data))
    assert decode(data[: units[-1].begin], FORM, LIMITS).damage_kinds == ("cut_short",)


@pytest.mark.parametrize("seconds", ["0.1", "1.3"])
@pytest.mark.parametrize("form", ["-ar 8000", "-ar 11025 -ac 2", "-ar 24000 -q:a 4", "-ar 44100"])
def test_a_whole_mp3_is_as_long_as_it_states(tmp_path: Path, form: str, seconds: str) -> None:
    file = make(tmp_path / "a.mp3", f"-f lavfi -i sine=d={seconds}", form)
    assert decode(file, FORM, LIMITS).damage is None


def test_a_packet_of_a_program_stream_that_ends_within() -> None:
    """At the end of a packet nothing tells that others should follow."""
    data = whole("mpg")
    units = list(KINDS["mpg"][1](data))
    for unit in units[len(units) // 3 :: 9]:
        assert not lacks_parts(io.BytesIO(data[: unit.end]), 2.0)
        if unit.size is not None:
            assert lacks_parts(io.BytesIO(data[: (unit.begin + unit.end) // 2]), 2.0)


def test_fragments_that_an_index_counts_up(tmp_path: Path) -> None:
    flags = "-movflags dash+global_sidx -frag_duration 300000"
    data = make(tmp_path / "a.m4a", SOUND, "-c:a aac", flags).read_bytes()
    assert decode(data, FORM, LIMITS).damage is None
    begins = [unit.begin for unit in KINDS["m4a"][1](data)]
    fragments = [begin for begin in begins if data[begin + 4 : begin + 8] == b"moof"]
    assert len(fragments) > 3
    for begin in fragments:
        assert lacks_parts(io.BytesIO(data[:begin]), 2.0)


def test_fragments_that_are_missing() -> None:
    data = whole("m4a")
    fragments = [unit for unit in KINDS["m4a"][1](data) if data[unit.begin + 4 :][:4] == b"moof"]
    ends = [*(unit.begin for unit in fragments[1:]), len(data)]
    for unit, end in zip(fragments[1:-1], ends[1:-1], strict=True):
        assert lacks_parts(io.BytesIO(data[: unit.begin] + data[end:]), math.inf)
    # A recorder may have joined a broadcast, and parts may be joined.
    later = data[: fragments[0].begin] + data[ends[1] :]
    assert not lacks_parts(io.BytesIO(later), math.inf)
    assert not lacks_parts(io.BytesIO(data + data[fragments[0].begin :]), math.inf)


@pytest.mark.parametrize("kind", ["mp4", "mov", "m4a"])
def test_boxes_that_do_not_fit_into_one_another(kind: str) -> None:
    data = whole(kind)
    inner = (b"trak", b"mdia", b"minf", b"stbl", b"mdhd", b"tkhd", b"hdlr", b"stts")
    for name in inner:
        at = data.index(name)
        broken = data[: at - 1] + bytes([data[at - 1] ^ 1]) + data[at:]
        assert lacks_parts(io.BytesIO(broken), math.inf), name
        lost = data[: at - 4] + bytes(8) + data[at + 4 :]
        assert lacks_parts(io.BytesIO(lost), math.inf), name


def test_bytes_missing_between_fragments() -> None:
    data = whole("m4a")
    at = data.index(b"mdat") + 50
    assert lacks_parts(io.BytesIO(data[:at] + data[at + 30 :]), math.inf)


def test_pages_whose_times_run_back() -> None:
    data = whole("opus")
    fifth, sixth = list(KINDS["opus"][1](data))[5:7]
    (at, later), length = (unit.begin + 6 for unit in (fifth, sixth)), 8
    early, late = data[at : at + length], data[later : later + length]
    swapped = data[:at] + late + data[at + length : later] + early + data[later + length :]
    assert lacks_parts(io.BytesIO(swapped), math.inf)


def test_first_pages_that_are_missing() -> None:
    data = whole("opus")
    pages = [data[unit.begin : unit.end] for unit in KINDS["opus"][1](data)]
    assert lacks_parts(io.BytesIO(b"".join(pages[:2] + pages[3:])), math.inf)
    # Beside the head, what a recorder got that joined a broadcast.
    assert not lacks_parts(io.BytesIO(b"".join(pages[:2] + pages[-1:])), math.inf)


def test_a_page_that_is_there_twice() -> None:
    data = whole("ogv")
    for unit in list(KINDS["ogv"][1](data))[2:]:
        page = data[unit.begin : unit.end]
        assert lacks_parts(io.BytesIO(data[: unit.end] + page + data[unit.end :]), math.inf)


@pytest.mark.parametrize(
    ("form", "frame"), [("720x576 -r 25", 144000), ("720x480 -r 30000/1001", 120000)]
)
def test_a_frame_of_dv_that_ends_within(tmp_path: Path, form: str, frame: int) -> None:
    codecs = f"-s {form} -pix_fmt yuv420p -c:v dvvideo -an -t 0.2"
    if "480" in form:
        codecs = codecs.replace("yuv420p", "yuv411p")
    data = make(tmp_path / "a.dv", PICTURES, codecs).read_bytes()
    assert len(data) % frame == 0
    assert not lacks_parts(io.BytesIO(data), math.inf)
    assert lacks_parts(io.BytesIO(data[:-1]), math.inf)
    assert not lacks_parts(io.BytesIO(data[:-frame]), math.inf)


def test_frames_of_flac_that_are_missing() -> None:
    data = whole("flac")
    units = list(KINDS["flac"][1](data))
    for unit in (units[5], units[-2]):
        damage = decode(data[: unit.begin] + data[unit.end :], FORM, LIMITS).damage
        assert damage is not None


def test_a_section_before_the_cut_is_whole() -> None:
    data = whole("wav")
    cut = data[: len(data) * 3 // 4]
    # What ffmpeg reads ahead may or may not reach the cut, so the section ends well before it.
    assert decode(cut, FORM, LIMITS, start_s=0.1, end_s=0.2).damage is None
    for start_s, end_s in ((None, None), (0.2, None), (0.2, 1.8)):
        damage = decode(cut, FORM, LIMITS, start_s=start_s, end_s=end_s).damage
        assert damage is not None
        assert damage.startswith("the file is not whole")


@pytest.mark.parametrize(
    ("kind", "place", "number"),
    [
        ("wav", 4, struct.pack("<I", 0)),
        ("wav", 4, struct.pack("<I", 0xFFFFFFFF)),
        ("wav", 4, struct.pack("<I", 0x7FFFF024)),
        ("au", 8, struct.pack(">I", 0xFFFFFFFF)),
        ("avi", 4, struct.pack("<I", 0)),
        ("flac", 22, bytes(4)),
    ],
)
def test_a_length_that_a_writer_did_not_know_tells_nothing(
    kind: str, place: int, number: bytes
) -> None:
    data = whole(kind)
    data = data[:place] + number + data[place + len(number) :]
    assert decode(data, FORM, LIMITS).damage is None


@pytest.mark.parametrize(
    "form",
    [
        *("-vn -f wav", "-vn -c:a pcm_f32le -f wav", "-vn -f au", "-vn -f caf", "-vn -f flac"),
        *(
            "-an -c:v libvpx -f ivf",
            "-c:v wmv2 -c:a wmav2 -f asf",
            "-c:v mjpeg -c:a pcm_s16le -f avi",
        ),
        "-c:v mjpeg -c:a pcm_s16le -f matroska",
    ],
)
def test_what_is_written_to_a_pipe_is_whole(form: str) -> None:
    """No place in it can be gone back to, to fill in a length."""
    command = [binary(), "-v", "error", *PICTURES.split(), *SOUND.split(), *form.split(), "-"]
    written = subprocess.run(command, capture_output=True, check=True).stdout
    decoded = decode(written, FORM, LIMITS)
    assert decoded.damage is None
    for seconds in (decoded.audio_s, decoded.video_s):
        assert seconds is None or seconds == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("size", [4, 40])
def test_a_wav_file_that_is_cut_is_told_by_any_of_its_sizes(size: int) -> None:
    data = whole("wav")
    size = size if size == 4 else data.index(b"data") + 4
    data = data[:size] + b"\xff" * 4 + data[size + 4 :]
    assert not lacks_parts(io.BytesIO(data), math.inf)
    assert lacks_parts(io.BytesIO(data[:-1]), math.inf)


@pytest.mark.parametrize(
    ("kind", "added"),
    [
        ("wav", b"junk"),
        ("wav", bytes(3000)),
        ("avi", bytes(3000)),
        ("mp3", b"TAG" + bytes(125)),
        ("ogv", bytes(100)),
        ("gif", b"made by hand"),
        ("mp4", b"\0\0\x10\0SEFT"),
        ("flac", b"TAG" + bytes(125)),
    ],
)
def test_what_is_added_at_the_end_is_no_cut(kind: str, added: bytes) -> None:
    assert not lacks_parts(io.BytesIO(whole(kind) + added), 2.0)


@pytest.mark.parametrize("length", [0, 1, 7, 20, 63])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_few_bytes_do_no_harm(kind: str, length: int) -> None:
    lacks_parts(io.BytesIO(whole(kind)[:length]), 0.0)
