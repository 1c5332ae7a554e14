"""AudioSet's own lists, in their published form: class_labels_indices.csv and *_segments.csv.

A segment list begins with lines marked `#`; every other line is
`<video id>, <start>, <end>, "<mid>,<mid>,..."`, times in seconds.
"""

import csv
import re
from array import array
from pathlib import Path

import numpy as np

from mmlib.runtime.errors import UserError
from mmlib.shards.rows.clips import SPLITS
from mmlib.sources.segments import Segments

CLASSES_NAME = "class_labels_indices.csv"
SEGMENT_NAMES = {
    "balanced": "balanced_train_segments.csv",
    "unbalanced": "unbalanced_train_segments.csv",
    "eval": "eval_segments.csv",
}
# Copies of the lists often carry this in front of their names.
_PREFIX = "audioset_"
_LINE = re.compile(
    rb'([\w-]{1,64}), ?(\d{1,6})(?:\.(\d{1,3})\d*)?, ?(\d{1,6})(?:\.(\d{1,3})\d*)?, ?"([^"]+)"\s*'
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
    with path.open(newline="", encoding="utf-8-sig") as stream:
        rows = csv.reader(stream)
        if next(rows, None) != ["index", "mid", "display_name"]:
            raise UserError(f"{path}, line 1: index,mid,display_name is expected there")
        for row in rows:
            if len(row) != 3 or row[0] != str(len(found)) or row[1] in found or not row[2]:
                raise UserError(
                    f"{path}, line {rows.line_num}: {len(found)},<mid>,<display name> is expected "
                    f"there, not {','.join(row)[:80]}"
                )
            found[row[1]] = row[2]
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
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            match = _LINE.fullmatch(line)
            if match is None:
                if line.startswith(b"#") or not line.strip():
                    continue
                raise _fault(path, number, line, 'want <id>, <start>, <end>, "<mid>,..."')
            video, start, start_rest, end, end_rest, names = match.groups()
            begin, stop = _milliseconds(start, start_rest), _milliseconds(end, end_rest)
            if stop <= begin:
                raise _fault(path, number, line, "it ends before it starts")
            try:
                labels.extend(places[names])
            except KeyError as error:
                unknown = f"unknown mid {error.args[0]}; {CLASSES_NAME} does not have it"
                raise _fault(path, number, line, unknown) from None
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


class _Places(dict[bytes, tuple[int, ...]]):
    """Places of a line's mids, kept for the lines that have the same."""

    def __init__(self, mids: dict[str, int]) -> None:
        super().__init__()
        self._mids = mids

    def __missing__(self, names: bytes) -> tuple[int, ...]:
        mids = dict.fromkeys(name.strip() for name in names.decode("utf-8", "replace").split(","))
        found = tuple(self._mids[mid] for mid in mids)
        # Common sets of labels come back thousands of times, most come once.
        if len(self) < 100_000:
            self[names] = found
        return found


def _milliseconds(seconds: bytes, rest: bytes | None) -> int:
    return int(seconds) * 1000 + (int(rest.ljust(3, b"0")) if rest else 0)


def _fault(path: Path, number: int, line: bytes, what: str) -> UserError:
    shown = line.decode("utf-8", "replace").strip()[:80]
    return UserError(f"{path}, line {number}: {what}; the line is {shown!r}")
