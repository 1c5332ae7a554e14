"""A smaller list to begin with: the first, a random or a class-balanced part, the same every time.

Random choices go by a hash of seed and clip id, so that they do not depend on the list's order.
"""

import hashlib
import heapq
import math
from collections.abc import Sequence

import numpy as np

from mmlib.runtime.arrays import Ints, Words64
from mmlib.sources.columns import Columns


def size_of(clips: int, most: int | None, share: float) -> int:
    """How many of so many clips a limit leaves: at least one, where there are any."""
    limited = min(clips, max(1, math.floor(share * clips + 1e-9)))
    return limited if most is None else min(limited, most)


def choose(columns: Columns, size: int, how: str, seed: int) -> Ints:
    """Places of `size` clips of a list, rising; `how` is "first", "random" or "balanced".

    "balanced" takes clip after clip for the class that has the fewest so far, of several the one
    that is rarest in the list: rare classes are whole before common ones grow beyond them. A clip
    counts for each of its labels; clips without a label come last.
    """
    if size >= len(columns):
        return np.arange(len(columns))
    if how == "first":
        return np.arange(size)
    ranks = _ranks(columns.clip_ids.to_pylist(), seed)
    if how == "random":
        return np.sort(np.argsort(ranks)[:size])
    return np.sort(_balanced(columns, ranks, size))


def _ranks(clip_ids: Sequence[str], seed: int) -> Words64:
    key = str(seed).encode()[:64]
    digests = b"".join(
        hashlib.blake2b(name.encode(), digest_size=8, key=key).digest() for name in clip_ids
    )
    return np.frombuffer(digests, np.uint64)


def _balanced(columns: Columns, ranks: Words64, size: int) -> Ints:
    counts = columns.label_counts
    clip_of = np.repeat(np.arange(len(columns)), counts)
    order = np.lexsort((ranks[clip_of], columns.labels))
    totals = np.bincount(columns.labels)
    ends = np.cumsum(totals)
    candidates, upcoming = clip_of[order], (ends - totals).tolist()
    have = [0] * len(totals)
    taken = np.zeros(len(columns), bool)
    begins = columns.label_ends - counts
    heap = [(0, int(total), label) for label, total in enumerate(totals) if total]
    heapq.heapify(heap)
    left = size
    while heap and left:
        count, total, label = heapq.heappop(heap)
        if count != have[label]:
            # It grew through clips that were taken for others.
            heapq.heappush(heap, (have[label], total, label))
            continue
        place = upcoming[label]
        while place < ends[label] and taken[candidates[place]]:
            place += 1
        if place == ends[label]:
            continue
        clip = candidates[place]
        upcoming[label] = place + 1
        taken[clip] = True
        left -= 1
        for other in columns.labels[begins[clip] : columns.label_ends[clip]]:
            have[other] += 1
        heapq.heappush(heap, (have[label], total, label))
    rest = np.flatnonzero(~taken)
    taken[rest[np.argsort(ranks[rest])[:left]]] = True
    return np.flatnonzero(taken)
