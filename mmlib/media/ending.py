"""Files that lack a part, mostly the end, as their own structure tells.

A decoder takes what it gets: of bare sound, Ogg and others, cut between two packets, it says
nothing. Here the few numbers are read that tell it: how many bytes or samples there should be, or
the mark that a whole file ends with. A number that stands for "unknown", as a recorder leaves it
that never came to its end, tells nothing; nor do streams (transport streams, AAC, AC-3), which may
begin and end anywhere.
"""

import math
import struct
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO

from mmlib.media import boxes
from mmlib.media.files import File
from mmlib.media.mp3 import lacks_frames, read_tag

# Of declared lengths of sound: what another rate rounds off.
_SLACK_S = 0.005
# Writers to a pipe leave 0 for a length that they do not know, or about the largest number.
_UNKNOWN = 0x7FFFF000
_W64 = b"riff\x2e\x91\xcf\x11"
_ASF = bytes.fromhex("3026b2758e66cf11")
# The object that holds the packets; of this size it has none, for a writer that did not know it.
_ASF_DATA, _ASF_DATA_BYTES = bytes.fromhex("3626b2758e66cf11"), 50
# The first bytes of a DV frame, but for the system that it is of.
_DV = b"\x1f\x07\0"
# The partition pack that an MXF file begins with.
_MXF = bytes.fromhex("060e2b34020501010d010201")
# The pack that a program stream begins with.
_PACK = b"\0\0\1\xba"
_PAGE_BYTES = 1 << 16
# Marks of an Ogg page.
_FIRST, _LAST = 2, 4
_HEAD_PAGES, _FEW_PAGES = 3, 8
# Of a page in which no packet ends.
_NO_TIME = -1
_HEAD_BYTES = 64
_WV_RATES = (
    6000, 8000, 9600, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000,
    192000,
)  # fmt: skip


class _Peek:
    """Bytes of a file at any place; fewer at its end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.size = stream.seek(0, 2)

    def at(self, begin: int, length: int) -> bytes:
        self.stream.seek(begin)
        return self.stream.read(length)


# The length of the unit whose first 24 bytes these are; None: unknown, or the units end here.
_Length = Callable[[bytes], int | None]


def lacks_parts(file: File, sound_end_s: float) -> bool:
    """Tell whether a file's structure goes on beyond its last byte, or has holes.

    `sound_end_s` is how far its sound was decoded, in seconds from the beginning: some formats
    tell only how long that should be.
    """
    with file.open("rb") if isinstance(file, Path) else nullcontext(file) as stream:
        peek = _Peek(stream)
        head = peek.at(0, _HEAD_BYTES).ljust(_HEAD_BYTES, b"\0")
        if head[:3] == b"ID3" or head[:1] == b"\xff":
            stated = read_tag(peek.at, head)
            return stated.end > peek.size or lacks_frames(stated, sound_end_s)
        return (
            any(end > peek.size for end in _declared_ends(peek, head))
            or _declared_s(head) - sound_end_s > _SLACK_S
            or _lacks_end_mark(peek, head)
        )


def _declared_ends(peek: _Peek, head: bytes) -> Iterator[int]:
    if head[:4] in (b"RIFF", b"FORM"):
        yield from _walk(peek, 0, _chunk)
        yield _data_end(peek) if head[8:12] == b"WAVE" else 0
    elif head[:4] == b"RF64":
        yield 8 + int.from_bytes(head[20:28], "little")
    elif head[:4] == b"caff":
        yield from _walk(peek, 8, _caf_chunk)
    elif head.startswith((_W64, _ASF)):
        yield from _walk(peek, 0, _object)
    elif head[4:8] in boxes.NAMES:
        yield from boxes.declared_ends(peek.at, peek.size)
    elif head[:4] == b".snd":
        offset, length = struct.unpack(">4xII", head[:12])
        yield offset + length if length < _UNKNOWN else 0
    elif head[:3] == b"FLV":
        yield _stated_size(peek.at(0, 1 << 10))
    elif head.startswith(_MXF):
        yield _footer(head)
    elif head[:4] == _PACK:
        yield from _walk(peek, 0, _packet)
    elif head[:3] == _DV:
        frame = 144000 if head[3] & 0x80 else 120000
        yield math.ceil(peek.size / frame) * frame


def _walk(peek: _Peek, begin: int, length_of: _Length) -> Iterator[int]:
    while begin < peek.size and (length := length_of(peek.at(begin, 24).ljust(24, b"\0"))):
        begin += length
        yield begin


def _chunk(head: bytes) -> int | None:
    order = {b"RIFF": "<", b"FORM": ">"}.get(head[:4])
    if order is None:
        return None
    (length,) = struct.unpack(f"{order}I", head[4:8])
    return 8 + length if 0 < length < _UNKNOWN else None


def _data_end(peek: _Peek) -> int:
    """Where the samples of a WAV file end, which is told beside the length of the whole."""
    name, length, end = b"", 0, 12
    while name != b"data" and end < peek.size:
        name, length = struct.unpack("<4sI", peek.at(end, 8).ljust(8, b"\0"))
        end += 8 + length + length % 2
    return end - length % 2 if name == b"data" and length < _UNKNOWN else 0


def _caf_chunk(head: bytes) -> int | None:
    length: int = struct.unpack(">q", head[4:12])[0]
    return 12 + length if length > 0 and head[:4].isascii() else None


def _object(head: bytes) -> int | None:
    length: int = struct.unpack("<Q", head[16:24])[0]
    least = _ASF_DATA_BYTES if head.startswith(_ASF_DATA) else 24
    return length if least < length < 1 << 62 else None


def _packet(head: bytes) -> int | None:
    """A program stream's pack header, in either version, or its packet."""
    if head[:3] != _PACK[:3] or head[3] < _PACK[3]:
        return None
    if head[3] > _PACK[3]:
        return 6 + int.from_bytes(head[4:6])
    return 14 + (head[13] & 7) if head[4] & 0xC0 == 0x40 else 12


def _stated_size(head: bytes) -> int:
    _, name, value = head.partition(b"filesize\0")
    size: float = struct.unpack(">d", value[:8].ljust(8, b"\0"))[0]
    return int(size) if name and 0 < size < 1 << 62 else 0


def _footer(head: bytes) -> int:
    # The key, a length of one byte and of as many more as that says, and the offset of the footer.
    more = head[16] & 0x7F if head[16] & 0x80 else 0
    at = 17 + more + 24
    return int.from_bytes(head[at : at + 8])


def _declared_s(head: bytes) -> float:
    samples = rate = 0
    if head[:4] == b"fLaC":
        rate = int.from_bytes(head[18:21]) >> 4
        samples = int.from_bytes(head[21:26]) & (1 << 36) - 1
    elif head[:4] == b"TTA1":
        rate, samples = struct.unpack("<10xII", head[:18])
    elif head[:4] == b"wvpk":
        samples, flags = struct.unpack("<12xI8xI", head[:28])
        rates = dict(enumerate(_WV_RATES))
        rate = rates.get(flags >> 23 & 15, 0) if samples < 0xFFFFFFFF else 0
    return samples / rate if rate else 0.0


def _lacks_end_mark(peek: _Peek, head: bytes) -> bool:
    # A file that was given its size before its bytes ends in zeros, where a mark should be.
    if head[:4] == b"OggS":
        return _lacks_pages(peek)
    if head.startswith(_MXF):
        return peek.at(_footer(head), 4) == bytes(4)
    if head[4:8] in boxes.NAMES:
        return boxes.are_broken(peek.at, peek.size)
    if head[:4] == b"DKIF":
        return _lacks_frames(peek, *struct.unpack("<6xH16xI", head[:28]))
    return head[:4] == b"GIF8" and _lacks_trailer(peek.at(0, peek.size))


def _lacks_frames(peek: _Peek, begin: int, count: int) -> bool:
    """In IVF, the head tells how many frames there are, and each one how long it is."""
    count = count if count < _UNKNOWN else 0
    while count and (length := int.from_bytes(peek.at(begin, 4), "little")):
        begin, count = begin + 12 + length, count - 1
    return count > 0 or begin > peek.size


def _lacks_pages(peek: _Peek) -> bool:
    """In Ogg, pages are numbered and timed stream by stream, up to one marked as the last."""
    latest, ended, begin = dict[bytes, int](), set[bytes](), 0
    times = dict[bytes, int]()
    while begin < peek.size:
        page = peek.at(begin, 27 + 255)
        if page[:4] != b"OggS":
            # Damage, or what was added at the end.
            found = peek.at(begin, _PAGE_BYTES).find(b"OggS")
            if found < 0:
                break
            begin += found
            continue
        if len(page) < 27:
            return True
        stream, number = page[14:18], int.from_bytes(page[18:22], "little")
        step = number - latest.get(stream, number - 1)
        # A recorder may have joined a broadcast after its first pages, which hold the head.
        joined = step > _FEW_PAGES and latest[stream] <= _HEAD_PAGES
        if step != 1 and not joined and not page[5] & _FIRST:
            return True
        latest[stream] = number
        time = int.from_bytes(page[6:14], "little", signed=True)
        if time != _NO_TIME:
            if time < times.get(stream, time) and not page[5] & _FIRST:
                return True
            times[stream] = time
        if page[5] & _LAST:
            ended.add(stream)
        begin += 27 + page[26] + sum(page[27 : 27 + page[26]])
    return begin > peek.size or set(latest) != ended


def _lacks_trailer(data: bytes) -> bool:
    """A GIF's blocks go on to one that says that it was the last."""

    def table(flags: int) -> int:
        return 6 << (flags & 7) if flags & 0x80 else 0

    try:
        at = 13 + table(data[10])
        while data[at] in b"!,":
            at += 2 if data[at] == ord("!") else 11 + table(data[at + 9])
            while data[at]:
                at += 1 + data[at]
            at += 1
        return data[at] != ord(";")
    except IndexError:
        return True
