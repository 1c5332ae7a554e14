"""Splits that can be trusted: none empty, no recording in two of them, every class to be learnt."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmlib.clips import SPLITS, Vocabulary
from mmlib.errors import UserError
from mmlib.sources.columns import Columns

_NAMED = 5


def check_requests(columns: Columns, vocabulary: Vocabulary) -> None:
    """Refuse a list with repeated ids, or a recording in two splits, or not one label for a task.

    Unknown splits and labels were refused when the columns were made (see `columns_of`).
    """
    codes = columns.clip_ids.dictionary_encode()
    if len(codes.dictionary) < len(columns):
        again = _first_places(codes)[1]
        raise UserError(
            f"clip id {columns.clip_ids[int(again[0])]} occurs twice: every clip needs its own"
        )
    counts = columns.label_counts
    if vocabulary.task == "single_label" and (counts != 1).any():
        place = int(np.argmax(counts != 1))
        raise UserError(
            f"clip {columns.clip_ids[place]} has {counts[place]} labels: data.task=single_label "
            "needs exactly one; mend the list or set data.task=multi_label"
        )
    _check_recordings(columns)


def _check_recordings(columns: Columns) -> None:
    codes = columns.source_ids.dictionary_encode()
    first = columns.splits[_first_places(codes)[0]][codes.indices.to_numpy()]
    leaks = [
        f"{columns.source_ids[int(i)]} ({SPLITS[first[i]]} and {SPLITS[columns.splits[i]]})"
        for i in np.flatnonzero(columns.splits != first)
    ]
    if leaks:
        raise UserError(
            f"the same recording is in two splits, {len(leaks)} times: {_some(leaks)}; "
            "put all clips of a recording into one split"
        )


def _first_places(codes: pa.DictionaryArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each value of a column is seen first, and the places of all later ones."""
    indices = codes.indices.to_numpy()
    places = np.arange(len(indices))
    first = np.empty(len(codes.dictionary), np.int64)
    first[indices[::-1]] = places[::-1]
    return first, np.flatnonzero(first[indices] != places)


def check_splits(
    clips: Mapping[str, int], positives: Mapping[str, Counter[str]], vocabulary: Vocabulary
) -> list[str]:
    """Refuse splits that cannot be used; `clips` and `positives` count clips a split, and a class.

    UserError for an empty split, a split without any label, and a class without a training clip. A
    class that no eval clip has is returned as a warning: it is left out of the means.
    """
    for split in SPLITS:
        if not clips.get(split):
            raise UserError(f"split {split} has no usable clip: give it some")
        if not positives.get(split):
            raise UserError(f"split {split} has no labels: every clip's list of labels is empty")
    absent = [name for name in vocabulary.classes if not positives["train"][name]]
    if absent:
        raise UserError(
            f"{len(absent)} of {len(vocabulary.classes)} classes have no usable clip in split "
            f"train: {_some(absent)}; add clips of them, or take the labels out of the list"
        )
    absent = [name for name in vocabulary.classes if not positives["eval"][name]]
    if not absent:
        return []
    return [
        f"{len(absent)} of {len(vocabulary.classes)} classes have no usable clip in split eval "
        f"and are left out of its means: {_some(absent)}"
    ]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
