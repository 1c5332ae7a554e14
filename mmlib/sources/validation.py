"""A validation split for lists that come without one."""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mmlib.runtime.arrays import Ints8
from mmlib.shards.rows.clips import SPLITS
from mmlib.sources.base import Request
from mmlib.sources.columns import Columns, columns_of


def carve_validation(requests: Sequence[Request], share: float) -> list[Request]:
    """Move about `share` of the training recordings to "val", where a list has no such split.

    Whole recordings (source ids) move, chosen by the hash of their id: neither the order of the
    list nor a seed matters. One whose classes would be left without a training clip stays.
    """
    classes = sorted({label for request in requests for label in request.labels})
    splits = carved_splits(columns_of(requests, classes), share)
    return [
        replace(request, split=SPLITS[place])
        for request, place in zip(requests, splits, strict=True)
    ]


def carved_splits(columns: Columns, share: float) -> Ints8:
    """Splits of all clips after `carve_validation`, as places in SPLITS: for millions of clips."""
    train = columns.positions("train")
    recordings = columns.source_ids.take(train).dictionary_encode()
    names, of_clip = recordings.dictionary.to_pylist(), recordings.indices.to_numpy()
    by_recording = train[np.argsort(of_clip, kind="stable")]
    ends = np.cumsum(np.bincount(of_clip, minlength=len(names)))
    label_begins = columns.label_ends - columns.label_counts
    in_train = np.repeat(columns.splits, columns.label_counts) == SPLITS.index("train")
    left = np.bincount(columns.labels[in_train]).tolist()
    splits = columns.splits.copy()
    wanted = math.floor(share * len(names))
    digests = np.array([hashlib.sha256(name.encode()).digest() for name in names], "S32")
    for recording in np.argsort(digests, kind="stable"):
        if not wanted:
            break
        clips = by_recording[ends[recording - 1] if recording else 0 : ends[recording]]
        labels = Counter[int]()
        for clip in clips:
            labels.update(columns.labels[label_begins[clip] : columns.label_ends[clip]].tolist())
        if all(left[label] > count for label, count in labels.items()):
            for label, count in labels.items():
                left[label] -= count
            splits[clips] = SPLITS.index("val")
            wanted -= 1
    return splits
