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


def check_requests(
    columns: Columns, vocabulary: Vocabulary, *, same_source: str = "stop"
) -> list[str]:
    """Refuse a list with repeated ids, or other than one label a clip where the task wants one.

    A recording in two splits is refused when `same_source` is "stop", else returned as a warning.
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
    return _check_recordings(columns, same_source)


def _check_recordings(columns: Columns, same_source: str) -> list[str]:
    codes = columns.source_ids.dictionary_encode()
    first = columns.splits[_first_places(codes)[0]][codes.indices.to_numpy()]
    repeated = np.flatnonzero(columns.splits != first)
    if len(repeated) == 0:
        return []
    leaks = [
        f"{columns.source_ids[int(i)]} ({SPLITS[first[i]]} and {SPLITS[columns.splits[i]]})"
        for i in repeated[:_NAMED]
    ]
    line = (
        f"the same recording is in two splits, {len(repeated)} times: {_some(leaks, len(repeated))}"
    )
    if same_source == "stop":
        raise UserError(
            f"{line}; put all clips of a recording into one split, or set "
            "shard.leaks.same_source=drop (stage shard leaves those of the earlier split out)"
        )
    return [f"{line} (shard.leaks.same_source={same_source})"]


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

    UserError for an empty split and for a split without any label. A class that no training or no
    eval clip has is returned as a warning.
    """
    for split in SPLITS:
        if not clips.get(split):
            raise UserError(f"split {split} has no usable clip: give it some")
        if not positives.get(split):
            raise UserError(f"split {split} has no labels: every clip's list of labels is empty")
    warnings = untrained_classes(positives["train"], vocabulary.classes, "keep")
    absent = [name for name in vocabulary.classes if not positives["eval"][name]]
    if absent:
        warnings.append(
            f"{len(absent)} of {len(vocabulary.classes)} classes have no usable clip in split eval "
            f"and are left out of its means: {_some(absent)}"
        )
    return warnings


def untrained_classes(trained: Counter[str], classes: Sequence[str], action: str) -> list[str]:
    """Warn of classes without a training clip; UserError when `action` is "stop".

    `trained` counts training clips a class; "drop" and "keep" are what stage shard does about it.
    """
    absent = [name for name in classes if not trained[name]]
    if not absent:
        return []
    line = (
        f"{len(absent)} of {len(classes)} classes have no usable clip in split train: "
        f"{_some(absent)}"
    )
    if action == "stop":
        raise UserError(
            f"{line}; add clips of them, take the labels out of the list, or set "
            "shard.untrained_classes=drop (such classes are left out) or keep"
        )
    return [line]


def _some(names: Sequence[str], count: int | None = None) -> str:
    count = len(names) if count is None else count
    more = f" and {count - _NAMED} more" if count > _NAMED else ""
    # AudioSet's names hold commas.
    shown = [f'"{name}"' if "," in name else name for name in names[:_NAMED]]
    return ", ".join(shown) + more
