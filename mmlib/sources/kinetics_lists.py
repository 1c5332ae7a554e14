"""Kinetics' annotation files: columns label, youtube_id, time_start, time_end and mostly split."""

import csv
import re
from array import array
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmlib.runtime.errors import UserError
from mmlib.shards.rows.clips import SPLITS
from mmlib.sources.kinetics_classes import plain
from mmlib.sources.segments import Segments

_NEEDED = ("label", "youtube_id", "time_start", "time_end")
# Kinetics-400, -600 and -700 spell them differently.
_SPLITS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "test": "eval",
    "eval": "eval",
}
_ID = re.compile(r"[\w-]{1,64}", re.ASCII)


def annotation_files(path: Path) -> list[Path]:
    """The file itself, or the folder's CSV files that have the columns, by name.

    Files without labels are passed over: such is the test list of Kinetics-400. UserError when none
    is left.
    """
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    found = [file for file in files if file.is_file() and set(_NEEDED) <= set(_header(file))]
    if not found:
        raise UserError(
            f"data.path={path} holds no Kinetics annotations: a .csv with the columns "
            f"{', '.join(_NEEDED)} and split"
        )
    return found


def read_annotations(files: list[Path], places: Mapping[str, int]) -> Segments:
    """Read the clips of the classes in `places` (plain name -> place); others are passed over.

    Without a column split a file's name says it (train.csv, kinetics700_val.csv). A list has "val"
    and "eval": where the files have only one of the two, or the same clips in both, they become
    "eval", and "val" is left to be carved out of train. UserError names a bad line.
    """
    videos: list[bytes] = []
    start_ms, end_ms, splits, labels = array("q"), array("q"), array("b"), array("i")
    for file in files:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream)
            try:
                for row in rows:
                    place = places.get(plain(row["label"] or ""))
                    if place is not None:
                        video, start, end, split = _row(row, file)
                        videos.append(video)
                        start_ms.append(start)
                        end_ms.append(end)
                        splits.append(split)
                        labels.append(place)
            except (ValueError, csv.Error) as error:
                raise UserError(f"{file}, line {rows.line_num}: {error}") from None
    segments = Segments(
        videos=np.array(videos, "S" if videos else "S1"),
        start_ms=np.array(start_ms, np.int64),
        end_ms=np.array(end_ms, np.int64),
        splits=np.array(splits, np.int8),
        labels=np.array(labels, np.int32),
        label_ends=np.arange(1, len(videos) + 1),
    )
    return _with_eval(segments)


def _header(file: Path) -> list[str]:
    with file.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        return next(csv.reader(stream), [])


def _row(row: dict[str, str], file: Path) -> tuple[bytes, int, int, int]:
    if None in row or None in row.values():
        raise ValueError("the number of fields differs from the header's")
    video = row["youtube_id"]
    if not _ID.fullmatch(video):
        raise ValueError(f"youtube_id is {video!r}: letters, digits, - and _ are expected")
    start, end = (_milliseconds(row, column) for column in ("time_start", "time_end"))
    if end <= start:
        raise ValueError("time_end is not after time_start")
    return video.encode(), start, end, SPLITS.index(_split(row, file))


def _milliseconds(row: dict[str, str], column: str) -> int:
    try:
        seconds = float(row[column])
        if 0 <= seconds < 1e6:
            return round(seconds * 1000)
    except ValueError:
        pass
    raise ValueError(f"{column} is {row[column]!r}: a number of seconds is expected")


def _split(row: dict[str, str], file: Path) -> str:
    text = row.get("split")
    if text is None:
        words = re.findall("[a-z]+", file.stem.lower())
        text = next((word for word in reversed(words) if word in _SPLITS), file.stem)
    if text.strip().lower() not in _SPLITS:
        raise ValueError(f"unknown split {text!r}: use {', '.join(_SPLITS)}")
    return _SPLITS[text.strip().lower()]


def _with_eval(segments: Segments) -> Segments:
    val, evaluation = (SPLITS.index(split) for split in ("val", "eval"))
    clips = segments.clip_ids().to_numpy(zero_copy_only=False)
    in_val, in_eval = segments.splits == val, segments.splits == evaluation
    if in_val.any() and set(clips[in_val]) == set(clips[in_eval]):
        segments = segments.take(np.flatnonzero(~in_val))
    elif in_val.any() and not in_eval.any():
        splits = np.where(in_val, evaluation, segments.splits).astype(np.int8)
        segments = segments.with_splits(splits)
    return segments
