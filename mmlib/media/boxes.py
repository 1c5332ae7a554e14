"""The boxes that MP4 and QuickTime files consist of: where they end, and whether all are there."""

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

NAMES = (
    b"ftyp", b"styp", b"sidx", b"ssix", b"moov", b"moof", b"mfra", b"mdat", b"free", b"skip",
    b"wide", b"uuid", b"emsg", b"prft",
)  # fmt: skip
# Those that hold others, one after the other.
_PARENTS = (
    b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"mvex", b"moof", b"traf",
)  # fmt: skip
_REST_BYTES = 1 << 20

# Gives so many bytes at a place; fewer at the file's end.
_At = Callable[[int, int], bytes]


class _Box(NamedTuple):
    name: bytes
    begin: int
    end: int


def declared_ends(at: _At, size: int) -> Iterator[int]:
    """Where each box says that it ends, or what it indexes does; `size` is the file's."""
    for box in _boxes(at, 0, size):
        if box.name in NAMES:
            yield box.end
        if box.name == b"sidx":
            yield _indexed_end(at, box)


def are_broken(at: _At, size: int) -> bool:
    """Tell whether boxes within a file do not fit into one another, or fragments are missing."""
    boxes = list(_boxes(at, 0, size))
    rest = at(boxes[-1].end if boxes else 0, _REST_BYTES)
    # One without a size goes on to the end.
    if rest[:4] != bytes(4) and any(name in rest for name in (b"moov", b"moof")):
        return True
    return not all(_is_filled(at, box) for box in boxes) or _lacks_fragments(at, boxes)


def _lacks_fragments(at: _At, boxes: Sequence[_Box]) -> bool:
    """Tell whether fragments, which writers number from one to the next, leave out numbers.

    A file may begin with any number, and again with any where parts were joined.
    """
    heads = (at(box.begin + 8, 16) for box in boxes if box.name == b"moof")
    numbers = [int.from_bytes(head[12:]) for head in heads if head[4:8] == b"mfhd"]
    steps = [after - before for before, after in pairwise(numbers)]
    # Some writers count otherwise.
    return 0 < sum(step > 1 for step in steps) <= steps.count(1)


def _is_filled(at: _At, box: _Box) -> bool:
    """Tell whether the boxes in a box that holds others end where it does."""
    if box.name not in _PARENTS:
        return True
    inner = list(_boxes(at, box.begin + 8, box.end))
    end = inner[-1].end if inner else box.begin + 8
    # A few bytes may follow, as an end mark or to fill it up.
    return 0 <= box.end - end < 8 and all(_is_filled(at, one) for one in inner)


def _boxes(at: _At, begin: int, end: int) -> Iterator[_Box]:
    while begin < end:
        length, name, longer = struct.unpack(">I4sQ", at(begin, 16).ljust(16, b"\0"))
        length = longer if length == 1 else length
        fits = begin + length <= end and min(name) >= ord(" ")
        if length < 8 or not (name in NAMES or fits):
            return
        yield _Box(name, begin, begin + length)
        begin += length


def _indexed_end(at: _At, index: _Box) -> int:
    """Where the fragments end that an index of them counts up."""
    box = at(index.begin, index.end - index.begin)
    width = 8 if box[8:9] == b"\1" else 4
    place = 20 + 2 * width
    (count,) = struct.unpack(">H", box[place + 2 : place + 4].rjust(2, b"\0"))
    sizes = (box[one : one + 4] for one in range(place + 4, place + 4 + 12 * count, 12))
    offset = int.from_bytes(box[place - width : place])
    # The first bit of a size says what lies there.
    return index.end + offset + sum(int.from_bytes(size) & 0x7FFFFFFF for size in sizes)
