"""Kinetics' annotation files: columns label, youtube_id, time_start, time_end and mostly split."""

import re
from array import array
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmlib.runtime.errors import UserError
from mmlib.runtime.lists import Row, RowError, has_columns, read_list
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
    is left, and for one that is no text in UTF-8.
    """
    files = _lists_in(path) if path.is_dir() else [path]
    found = [file for file in files if file.is_file() and has_columns(file, _NEEDED)]
    if not found:
        raise UserError(
            f"data.path={path} holds no Kinetics annotations: a .csv with the columns "
            f"{', '.join(_NEEDED)} and split"
        )
    return found


def _lists_in(folder: Path) -> list[Path]:
    # Of files whose names begin with a dot, a system's own notes about a list are the likeliest.
    kinds = (".csv", ".tsv")
    files = (file for file in folder.iterdir() if not file.name.startswith("."))
    return sorted(file for file in files if file.suffix.lower() in kinds)


def read_annotations(files: list[Path], places: Mapping[str, int]) -> Segments:
    """Read the clips of the classes in `places` (plain name -> place); others are passed over.

    Without a column split a file's name says it (train.csv, kinetics700_val.csv). A list has "val"
    and "eval": where the files have only one of the two, or the same clips in both, they become
    "eval", and "val" is left to be carved out of train. UserError names a bad line.
    """
    videos: list[bytes] = []
    start_ms, end_ms, splits, labels = array("q"), array("q"), array("b"), array("i")
    for file in files:

        def clip(row: Row, file: Path = file) -> None:
            place = places.get(plain(row.text("label")))
            if place is not None:
                video, start, end, split = _clip(row, file)
                videos.append(video)
                start_ms.append(start)
                end_ms.append(end)
                splits.append(split)
                labels.append(place)

        for _ in read_list(file, _NEEDED, clip):
            pass
    segments = Segments(
        videos=np.array(videos, "S" if videos else "S1"),
        start_ms=np.array(start_ms, np.int64),
        end_ms=np.array(end_ms, np.int64),
        splits=np.array(splits, np.int8),
        labels=np.array(labels, np.int32),
        label_ends=np.arange(1, len(videos) + 1),
    )
    return _with_eval(segments)


def _clip(row: Row, file: Path) -> tuple[bytes, int, int, int]:
    video = row.text("youtube_id")
    if not _ID.fullmatch(video):
        raise RowError(f"youtube_id is {video!r}: letters, digits, - and _ are expected")
    start, end = (_milliseconds(row, column) for column in ("time_start", "time_end"))
    if end <= start:
        raise RowError("time_end is not after time_start")
    return video.encode(), start, end, SPLITS.index(_split(row, file))


def _milliseconds(row: Row, column: str) -> int:
    text, value = row.text(column), row.number(column)
    if value is None or not 0 <= value < 1e6:
        raise RowError(f"{column} is {text!r}: a number of seconds is expected")
    return round(value * 1000)


def _split(row: Row, file: Path) -> str:
    if row.has("split"):
        text = row.text("split")
    else:
        words = re.findall("[a-z]+", file.stem.lower())
        text = next((word for word in reversed(words) if word in _SPLITS), file.stem)
    if text.lower() not in _SPLITS:
        raise RowError(f"unknown split {text!r}: use {', '.join(_SPLITS)}")
    return _SPLITS[text.lower()]


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
