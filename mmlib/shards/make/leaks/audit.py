"""Clips of an earlier split that a later one holds too, in the order train, val, eval."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mmlib.runtime.arrays import Bools, Floats32, Indices, Ints, Ints8, Ints32
from mmlib.runtime.pieces import results
from mmlib.runtime.scratch import Scratch
from mmlib.shards.make.leaks.near import MOST_PARTNERS, blocks, search
from mmlib.shards.make.leaks.search import Pairs, joined

KINDS = ("same_source", "identical", "near_duplicate_sound", "near_duplicate_picture")
# The kind that each param of shard.leaks decides about.
PARAMS = ("same_source", "identical", "near_duplicate", "near_duplicate")


class Leaks(NamedTuple):
    """Pairs of clips, by their places in the list: one of an earlier split, one of a later.

    `kinds` (P,) places in KINDS, `distances` (P,) float32, 0 where the match is exact. A pair is
    there once, under the first kind that it is of.
    """

    kinds: Ints8
    earlier: Indices
    later: Indices
    distances: Floats32

    def groups(self, clips: int) -> Ints32:
        """The number of each pair's group, (P,): clips that pairs link, directly or not."""
        links = coo_array((np.ones(len(self.kinds)), (self.earlier, self.later)), (clips, clips))
        labels = connected_components(links, directed=False)[1][self.earlier]
        return np.asarray(np.unique(labels, return_inverse=True)[1], np.int32)


@dataclass(frozen=True)
class Audited:
    """The clips to audit, N in the order of the list: `splits` (N,) places in SPLITS, `usable` (N,)
    those that would become part of a shard; a survey file for every `ends` of them."""

    source_ids: pa.ChunkedArray
    sha256: pa.ChunkedArray
    splits: Ints8
    usable: Bools
    surveys: Sequence[Path]
    ends: Ints


def audit(
    clips: Audited, *, sound_distance: float, picture_distance: float, scratch: Scratch
) -> Leaks:
    """Find every leak; at most 16 pairs a clip and kind, the nearest.

    The search for near-duplicates is shared among processes, and its pieces lie in `scratch`.
    """
    due = blocks(clips.surveys, clips.ends, clips.splits, clips.usable)
    found = results(
        partial(search, sound_distance=sound_distance, picture_distance=picture_distance),
        due,
        scratch,
        names=[f"leaks-{number:05d}" for number in range(len(due))],
        label="leaks",
        last=False,
    )
    parts = [_same(clips, clips.source_ids), _same(clips, clips.sha256)]
    parts += [joined([pair[kind] for pair in found]) for kind in (0, 1)]
    kinds = np.repeat(np.arange(len(KINDS), dtype=np.int8), [len(part.first) for part in parts])
    earlier, later, distances = joined(parts)
    order = np.lexsort((kinds, later, earlier))
    again = (np.diff(earlier[order], prepend=-1) == 0) & (np.diff(later[order], prepend=-1) == 0)
    order = order[~again]
    return Leaks(kinds[order], earlier[order], later[order], distances[order])


def _same(clips: Audited, column: pa.ChunkedArray) -> Pairs:
    """Pairs that share their value of a column."""
    codes = column.combine_chunks().dictionary_encode().indices
    values = codes.fill_null(-1).to_numpy(zero_copy_only=False)
    kept = np.flatnonzero(clips.usable & (values >= 0))
    order = kept[np.lexsort((kept, clips.splits[kept], values[kept]))]
    splits = clips.splits[order]
    starts = np.flatnonzero(np.diff(values[order], prepend=-2))
    ends = np.append(starts[1:], len(order))
    mixed = splits[starts] < splits[ends - 1]
    earlier, later = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
    for begin, end in zip(starts[mixed], ends[mixed], strict=True):
        # A value that thousands of clips share costs no more than their number.
        after = begin + np.searchsorted(splits[begin:end], splits[begin:end], side="right")
        counts = np.minimum(end - after, MOST_PARTNERS)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        earlier.append(np.repeat(order[begin:end], counts))
        later.append(order[np.repeat(after, counts) + np.arange(counts.sum()) - first])
    places = np.concatenate(earlier), np.concatenate(later)
    return Pairs(*places, np.zeros(len(places[0]), np.float32))
