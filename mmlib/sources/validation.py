"""A validation split for lists that come without one."""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from mmlib.sources.base import Request


def carve_validation(requests: Sequence[Request], share: float) -> list[Request]:
    """Move about `share` of the training recordings to "val", where a list has no such split.

    Whole recordings (source ids) move, chosen by the hash of their id: neither the order of the
    list nor a seed matters. One whose classes would be left without a training clip stays.
    """
    train = [request for request in requests if request.split == "train"]
    left = Counter(label for request in train for label in request.labels)
    recordings: dict[str, Counter[str]] = {}
    for request in train:
        recordings.setdefault(request.source_id, Counter()).update(request.labels)
    moved: set[str] = set()
    for source_id in sorted(recordings, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if len(moved) >= math.floor(share * len(recordings)):
            break
        labels = recordings[source_id]
        if all(left[label] > count for label, count in labels.items()):
            left -= labels
            moved.add(source_id)
    return [
        replace(request, split="val")
        if request.split == "train" and request.source_id in moved
        else request
        for request in requests
    ]
