"""A list of clips as columns: what checks, counts and progress need, without an object a clip.

Two million clips are 150 MB so, and a check of them takes a second or two.
"""

import hashlib
import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from mmlib.runtime.arrays import Floats32, Ints, Ints8, Ints32
from mmlib.runtime.errors import UserError
from mmlib.shards.rows.clips import SPLITS, Vocabulary
from mmlib.shards.rows.splits import NAMED, some
from mmlib.sources.base import Request


@dataclass(frozen=True)
class Columns:
    """N clips: ids as Arrow strings, splits (N,) as places in SPLITS, labels as places in classes.

    `seconds` (N,) is the length that the list gives, NaN where a clip goes to its file's end.
    Clip i has `labels[label_ends[i - 1] : label_ends[i]]` (from 0 for the first). `digest` hashes
    all that a request holds: two lists that share it ask for the same.
    """

    clip_ids: pa.Array
    source_ids: pa.Array
    splits: Ints8
    labels: Ints32
    label_ends: Ints
    seconds: Floats32
    digest: str

    def __len__(self) -> int:
        return len(self.splits)

    @property
    def label_counts(self) -> Ints:
        """How many labels each clip has, (N,)."""
        return np.diff(self.label_ends, prepend=0)

    def positions(self, split: str) -> Ints:
        """Places of a split's clips, rising."""
        return np.flatnonzero(self.splits == SPLITS.index(split))

    def clips(self) -> Counter[str]:
        """Clips a split."""
        counts = np.bincount(self.splits, minlength=len(SPLITS))
        return Counter({name: int(n) for name, n in zip(SPLITS, counts, strict=True) if n})

    def positives(self, classes: Sequence[str]) -> dict[str, Counter[str]]:
        """Clips a split and class."""
        split_of = np.repeat(self.splits, self.label_counts)
        found = {}
        for place, split in enumerate(SPLITS):
            counts = np.bincount(self.labels[split_of == place], minlength=len(classes))
            pairs = zip(classes, counts.tolist(), strict=True)
            found[split] = Counter({name: count for name, count in pairs if count})
        return found


@runtime_checkable
class Columnar(Protocol):
    """A sequence of requests that has its columns at hand."""

    def columns(self) -> Columns:
        """The columns; the same order as the requests."""


def columns_of(requests: Sequence[Request], classes: Sequence[str]) -> Columns:
    """Columns of any list. UserError for an unknown split or label."""
    if isinstance(requests, Columnar):
        return requests.columns()
    place_of = {name: place for place, name in enumerate(classes)}
    split_of = {name: place for place, name in enumerate(SPLITS)}
    digest = hashlib.sha256()
    splits, labels, ends = array("b"), array("i"), array("q")
    for request in requests:
        digest.update(repr(request).encode())
        if request.split not in split_of:
            raise UserError(f"clip {request.clip_id}: unknown split {request.split!r}")
        for label in request.labels:
            if label not in place_of:
                raise UserError(f"clip {request.clip_id}: unknown label {label!r}")
        splits.append(split_of[request.split])
        labels.extend(place_of[label] for label in request.labels)
        ends.append(len(labels))
    return Columns(
        clip_ids=pa.array([request.clip_id for request in requests], pa.string()),
        source_ids=pa.array([request.source_id for request in requests], pa.string()),
        splits=np.array(splits, np.int8),
        labels=np.array(labels, np.int32),
        label_ends=np.array(ends, np.int64),
        seconds=np.array([_seconds(request) for request in requests], np.float32),
        digest=digest.hexdigest(),
    )


def _seconds(request: Request) -> float:
    return math.nan if request.end_s is None else request.end_s - (request.start_s or 0.0)


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
        for i in repeated[:NAMED]
    ]
    line = (
        f"the same recording is in two splits, {len(repeated)} times: {some(leaks, len(repeated))}"
    )
    if same_source == "stop":
        raise UserError(
            f"{line}; put all clips of a recording into one split, or set "
            "shard.leaks.same_source=drop (stage shard leaves those of the earlier split out)"
        )
    return [f"{line} (shard.leaks.same_source={same_source})"]


def _first_places(codes: pa.DictionaryArray) -> tuple[Ints, Ints]:
    """Where each value of a column is seen first, and the places of all later ones."""
    indices = codes.indices.to_numpy()
    places = np.arange(len(indices))
    first = np.empty(len(codes.dictionary), np.int64)
    first[indices[::-1]] = places[::-1]
    return first, np.flatnonzero(first[indices] != places)
