"""Where the units of a container begin and end: boxes, elements, packets, pages, chunks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

Order = Literal["big", "little"]


@dataclass(frozen=True)
class Field:
    """A number in a file: where it begins, of how many bytes, in what order."""

    begin: int
    length: int
    order: Order = "big"


@dataclass(frozen=True)
class Unit:
    """Bytes `begin` .. `end` of a file; its size and time stamp, where it holds them."""

    begin: int
    end: int
    size: Field | None = None
    stamp: Field | None = None


_BOXES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"moof", b"traf")
# Where in a box the first number of a time, a length or a table stands.
_TABLES = {
    b"mvhd": 24, b"mdhd": 20, b"elst": 20, b"stts": 20, b"ctts": 20, b"stsz": 20, b"stco": 16,
    b"stsc": 16, b"tfdt": 12, b"trun": 20,
}  # fmt: skip
_ELEMENTS = (
    0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE, 0xE0, 0xE1, 0xA0, 0x1C53BB6B, 0xBB, 0x1549A966,
)  # fmt: skip
_TIMES = (0xE7, 0xA3)
_GUID = 16


def _boxes(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[Unit]:
    end = len(data) if end is None else end
    while begin + 8 <= end:
        length, name = int.from_bytes(data[begin : begin + 4]), data[begin + 4 : begin + 8]
        until = min(end, begin + max(8, length))
        at = begin + _TABLES.get(name, len(data))
        stamp = Field(at, 4) if at + 4 <= until else None
        yield Unit(begin, until, Field(begin, 4), stamp)
        if name in _BOXES:
            yield from _boxes(data, begin + 8, until)
        begin = until


def _number(data: bytes, at: int) -> int:
    """Length of the number of variable length (EBML) that begins here."""
    return 9 - data[at].bit_length() if at < len(data) and data[at] else 1


def _elements(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[Unit]:
    end = len(data) if end is None else end
    while begin + 2 <= end:
        name_end = begin + _number(data, begin)
        width = _number(data, name_end)
        body = name_end + width
        length = int.from_bytes(data[name_end:body]) - (1 << (7 * width))
        unknown = length == (1 << (7 * width)) - 1
        until = end if unknown else min(end, body + max(0, length))
        name = int.from_bytes(data[begin:name_end])
        stamp = None
        if name == _TIMES[0]:
            stamp = Field(body, until - body)
        elif name == _TIMES[1]:
            stamp = Field(body + 1, 2)
        yield Unit(begin, until, Field(name_end, width), stamp)
        if name in _ELEMENTS:
            yield from _elements(data, body, until)
        begin = until


def _stream_packets(data: bytes) -> Iterator[Unit]:
    for begin in range(0, len(data) - 187, 188):
        header = data.find(b"\0\0\1", begin, begin + 188)
        timed = data[begin + 1] & 0x40 and 0 <= header < begin + 170
        stamp = Field(header + 9, 5) if timed and data[header + 7] & 0x80 else None
        yield Unit(begin, begin + 188, Field(header + 4, 2) if timed else None, stamp)


def _packs(data: bytes) -> Iterator[Unit]:
    begins = []
    at = data.find(b"\0\0\1")
    while at >= 0:
        if at + 3 < len(data) and data[at + 3] >= 0xBA:
            begins.append(at)
        at = data.find(b"\0\0\1", at + 3)
    for begin, end in zip(begins, [*begins[1:], len(data)], strict=True):
        packet = data[begin + 3] >= 0xBD
        timed = data[begin + 3] >= 0xC0 and data[begin + 7] & 0x80
        size = Field(begin + 4, 2) if packet else None
        yield Unit(begin, end, size, Field(begin + 9, 5) if timed else None)


def _pages(data: bytes) -> Iterator[Unit]:
    begin = 0
    while data[begin : begin + 4] == b"OggS":
        count = data[begin + 26]
        end = begin + 27 + count + sum(data[begin + 27 : begin + 27 + count])
        yield Unit(begin, min(end, len(data)), Field(begin + 26, 1), Field(begin + 6, 8, "little"))
        begin = end


def _chunks(order: Order) -> Callable[[bytes], Iterator[Unit]]:
    def walk(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[Unit]:
        end = len(data) if end is None else end
        while begin + 8 <= end:
            size = Field(begin + 4, 4, order)
            length = int.from_bytes(data[begin + 4 : begin + 8], order)
            until = min(end, begin + 8 + length + length % 2)
            yield Unit(begin, until, size)
            if data[begin : begin + 4] in (b"RIFF", b"LIST", b"FORM"):
                yield from walk(data, begin + 12, until)
            begin = until

    return lambda data: walk(data)


def _tags(data: bytes) -> Iterator[Unit]:
    yield Unit(0, 13)
    begin = 13
    while begin + 15 <= len(data):
        end = begin + 15 + int.from_bytes(data[begin + 1 : begin + 4])
        yield Unit(begin, min(end, len(data)), Field(begin + 1, 3), Field(begin + 4, 3))
        begin = end


def _objects(data: bytes) -> Iterator[Unit]:
    """ASF: a header of objects, then packets of one size."""
    header = int.from_bytes(data[_GUID : _GUID + 8], "little")
    yield Unit(0, header, Field(_GUID, 8, "little"))
    begin = 30
    while begin + 24 <= header:
        length = int.from_bytes(data[begin + _GUID : begin + 24], "little")
        until = min(header, begin + max(24, length))
        yield Unit(begin, until, Field(begin + _GUID, 8, "little"))
        begin = until
    yield from _pieces(3200)(data, header + 50)


def _frames(mark: bytes) -> Callable[[bytes], Iterator[Unit]]:
    def cut(data: bytes) -> Iterator[Unit]:
        at, begins = data.find(mark), [0]
        while at >= 0:
            begins.append(at)
            at = data.find(mark, at + 4)
        for begin, end in zip(begins, [*begins[1:], len(data)], strict=True):
            if end > begin:
                yield Unit(begin, end, Field(begin + len(mark), 2))

    return cut


def _pieces(length: int) -> Callable[..., Iterator[Unit]]:
    def cut(data: bytes, begin: int = 0) -> Iterator[Unit]:
        for at in range(begin, len(data), length):
            yield Unit(at, min(at + length, len(data)))

    return cut


# By the name's ending: how the file is made, and how it is cut into units.
KINDS: dict[str, tuple[str, Callable[[bytes], Iterator[Unit]]]] = {
    "mp4": ("-c:v libx264 -g 8 -pix_fmt yuv420p -c:a aac", _boxes),
    "mov": ("-c:v mjpeg -c:a pcm_s16le -movflags +faststart", _boxes),
    "m4a": ("-vn -c:a aac -movflags +frag_keyframe+empty_moov -frag_duration 300000", _boxes),
    "mkv": ("-c:v libx264 -g 8 -pix_fmt yuv420p -c:a libmp3lame", _elements),
    "webm": ("-c:v libvpx -g 8 -deadline realtime -cpu-used 8 -c:a libopus", _elements),
    "ts": ("-c:v mpeg2video -g 8 -c:a mp2", _stream_packets),
    "mpg": ("-c:v mpeg2video -r 25 -g 8 -c:a mp2 -f vob", _packs),
    "avi": ("-c:v mpeg4 -g 8 -c:a libmp3lame", _chunks("little")),
    "ogv": ("-c:v libtheora -g 8 -c:a libvorbis -page_duration 200000", _pages),
    "opus": ("-vn -c:a libopus -page_duration 200000", _pages),
    "flv": ("-c:v flv -g 8 -c:a libmp3lame -ar 44100", _tags),
    "wmv": ("-c:v wmv2 -g 8 -c:a wmav2", _objects),
    "mxf": ("-c:v mpeg2video -r 25 -g 8 -c:a pcm_s16le -ar 48000", _frames(b"\x06\x0e\x2b\x34")),
    "nut": ("-c:v mpeg4 -g 8 -c:a flac", _frames(b"NK")),
    "gif": ("-an", _frames(b"\x21\xf9\x04")),
    "ivf": ("-an -c:v libvpx -g 8 -deadline realtime", _pieces(150)),
    "wav": ("-vn -c:a pcm_s16le", _chunks("little")),
    "aiff": ("-vn -c:a pcm_s16be", _chunks("big")),
    "flac": ("-vn -c:a flac", _frames(b"\xff\xf8")),
    "mp3": ("-vn -c:a libmp3lame", _frames(b"\xff\xfb")),
    "aac": ("-vn -c:a aac", _frames(b"\xff\xf1")),
    "ac3": ("-vn -c:a ac3", _frames(b"\x0b\x77")),
    "wv": ("-vn -c:a wavpack", _frames(b"wvpk")),
    "tta": ("-vn -c:a tta", _pieces(2000)),
    "caf": ("-vn -c:a pcm_s16le", _pieces(2000)),
    "au": ("-vn -c:a pcm_s16be", _pieces(2000)),
    "w64": ("-vn -c:a pcm_s16le", _pieces(2000)),
}
