"""AudioSet's own lists, in their published form: class_labels_indices.csv and *_segments.csv.

A segment list begins with lines marked `#`; every other line is
`<video id>, <start>, <end>, "<mid>,<mid>,..."`, times in seconds.
"""

import re
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmlib.runtime.errors import UserError
from mmlib.runtime.list_text import fault
from mmlib.runtime.lists import Row, RowError, read_list
from mmlib.shards.rows.clips import SPLITS
from mmlib.sources.audioset_resaved import Resaved
from mmlib.sources.segments import Segments

CLASSES_NAME = "class_labels_indices.csv"
SEGMENT_NAMES = {
    "balanced": "balanced_train_segments.csv",
    "unbalanced": "unbalanced_train_segments.csv",
    "eval": "eval_segments.csv",
}
_CLASS_COLUMNS = ("index", "mid", "display_name")
# Copies of the lists often carry this in front of their names.
_PREFIX = "audioset_"
# The published form, and what most programs make of it.
_LINE = re.compile(
    rb"([\w-]{1,64}), ?(\d{1,6})(?:\.(\d+))?, ?(\d{1,6})(?:\.(\d+))?, ?"
    rb'(?:"([^"]+)"|(/[\w/]+))\s*'
)


def find_list(folder: Path, name: str) -> Path | None:
    """Where the folder holds a list, under its official name or with `audioset_` in front."""
    for candidate in (name, _PREFIX + name):
        if (folder / candidate).is_file():
            return folder / candidate
    return None


def read_classes(path: Path) -> dict[str, str]:
    """Read mid -> display name, in the order of the indices. UserError names a bad line."""
    found: dict[str, str] = {}

    def name(row: Row) -> None:
        index, mid, display = map(row.text, _CLASS_COLUMNS)
        if index != str(len(found)) or mid in found or not mid or not display:
            shown = ",".join(row.cells.values())[:80]
            raise RowError(f"{len(found)},<mid>,<display name> is expected there, not {shown}")
        found[mid] = display

    for _ in read_list(path, _CLASS_COLUMNS, name):
        pass
    if not found:
        raise UserError(f"{path} lists no classes: get {CLASSES_NAME} anew")
    if len(set(found.values())) < len(found):
        raise UserError(f"{path}: a display name is given twice; get {CLASSES_NAME} anew")
    return found


def read_segments(path: Path, mids: dict[str, int], split: str) -> Segments:
    """Read one segment list; `mids` gives each mid's place. UserError names a bad line.

    A mid that a line repeats counts once.
    """
    videos: list[bytes] = []
    start_ms, end_ms, ends = array("q"), array("q"), array("q")
    labels = array("i")
    places = _Places(mids)
    resaved = Resaved(path)
    for number, line in _lines(path):
        match = _LINE.fullmatch(line)
        try:
            groups = match.groups() if match else resaved.groups(number, line)
            if groups is None:
                continue
            video, start, start_rest, end, end_rest, names, one = groups
            begin, stop = _milliseconds(start, start_rest), _milliseconds(end, end_rest)
            if stop <= begin:
                raise RowError("it ends before it starts")
            labels.extend(places[names or one or b""])
        except RowError as error:
            raise _fault(path, number, line, str(error)) from None
        videos.append(video)
        start_ms.append(begin)
        end_ms.append(stop)
        ends.append(len(labels))
    if not videos:
        raise UserError(f"{path} lists no segments: get it anew")
    return Segments(
        videos=np.array(videos),
        start_ms=np.array(start_ms, np.int64),
        end_ms=np.array(end_ms, np.int64),
        splits=np.full(len(videos), SPLITS.index(split), np.int8),
        labels=np.array(labels, np.int32),
        label_ends=np.array(ends, np.int64),
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers, whichever ends they have."""
    number = 0
    with path.open("rb") as stream:
        for chunk in stream:
            number += 1
            if b"\r" not in chunk[:-2]:
                yield number, chunk
                continue
            parts = chunk.removesuffix(b"\n").removesuffix(b"\r").split(b"\r")
            yield from enumerate(parts, number)
            number += len(parts) - 1


class _Places(dict[bytes, tuple[int, ...]]):
    """Places of a line's mids, kept for the lines that have the same."""

    def __init__(self, mids: dict[str, int]) -> None:
        super().__init__()
        self._mids = mids

    def __missing__(self, names: bytes) -> tuple[int, ...]:
        mids = dict.fromkeys(name.strip() for name in names.decode("utf-8", "replace").split(","))
        try:
            found = tuple(self._mids[mid] for mid in mids)
        except KeyError as error:
            unknown = error.args[0]
            raise RowError(f"unknown mid {unknown}; {CLASSES_NAME} does not have it") from None
        # Common sets of labels come back thousands of times, most come once.
        if len(self) < 100_000:
            self[names] = found
        return found


def _milliseconds(seconds: bytes, rest: bytes | None) -> int:
    if rest and len(rest) > 3:
        # What a program makes of a sum of two times: 29.999999999999996.
        return round(1000 * float(b"%b.%b" % (seconds, rest)))
    return int(seconds) * 1000 + (int(rest.ljust(3, b"0")) if rest else 0)


def _fault(path: Path, number: int, line: bytes, what: str) -> UserError:
    shown = line.decode("utf-8", "replace").strip()[:80]
    return fault(path, number, f"{what}; the line is {shown!r}")
