"""Clips of an earlier split that a later one holds too, in the order train, val, eval."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mmlib.runtime.arrays import Bools, Floats32, Indices, Ints, Ints8, Ints32, Records
from mmlib.runtime.parquet import numbers_of, read_parquet
from mmlib.shards.make.leaks.search import near_pairs, pictures, sounds
from mmlib.shards.rows.clips import SPLITS
from mmlib.shards.rows.ledger import (
    PICTURE,
    SOUND,
)

KINDS = ("same_source", "identical", "near_duplicate_sound", "near_duplicate_picture")
# The kind that each param of shard.leaks decides about.
PARAMS = ("same_source", "identical", "near_duplicate", "near_duplicate")
# Partners of one clip that are listed, the nearest first.
MOST_PARTNERS = 16
# Clips whose hashes are in memory at once, on the earlier and on the later side.
_EARLIER, _LATER = 8192, 32768


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


def audit(clips: Audited, *, sound_distance: float, picture_distance: float) -> Leaks:
    """Find every leak; at most 16 pairs a clip and kind, the nearest."""
    near = (("sound_hash", sound_distance), ("picture_hash", picture_distance))
    parts = [_same(clips, clips.source_ids), _same(clips, clips.sha256)]
    parts += [_near(clips, column, distance) for column, distance in near]
    kinds = np.repeat(np.arange(len(KINDS), dtype=np.int8), [len(part[0]) for part in parts])
    earlier, later, distances = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((kinds, later, earlier))
    again = (np.diff(earlier[order], prepend=-1) == 0) & (np.diff(later[order], prepend=-1) == 0)
    order = order[~again]
    return Leaks(kinds[order], earlier[order], later[order], distances[order])


_Part = tuple[Indices, Indices, Floats32]


def _same(clips: Audited, column: pa.ChunkedArray) -> _Part:
    """Pairs that share their value of a column."""
    codes = column.combine_chunks().dictionary_encode().indices
    values = codes.fill_null(-1).to_numpy(zero_copy_only=False)
    kept = np.flatnonzero(clips.usable & (values >= 0))
    order = kept[np.lexsort((kept, clips.splits[kept], values[kept]))]
    starts = np.flatnonzero(np.diff(values[order], prepend=-2))
    earlier, later = [], []
    for begin, end in zip(starts, np.append(starts[1:], len(order)), strict=True):
        group = order[begin:end]
        if clips.splits[group[0]] == clips.splits[group[-1]]:
            continue
        for place in group:
            partners = group[clips.splits[group] > clips.splits[place]][:MOST_PARTNERS]
            earlier.extend([place] * len(partners))
            later.extend(partners)
    zeros = np.zeros(len(earlier), np.float32)
    return np.array(earlier, np.intp), np.array(later, np.intp), zeros


def _near(clips: Audited, column: str, distance: float) -> _Part:
    """Pairs whose stored hashes in a column are near."""
    found: list[_Part] = [(*np.zeros((2, 0), np.intp), np.zeros(0, np.float32))]
    for split in range(1, len(SPLITS)):
        for later, second in _blocks(clips, column, clips.splits == split, _LATER):
            for earlier, first in _blocks(clips, column, clips.splits < split, _EARLIER):
                if column == "sound_hash":
                    pairs = near_pairs(sounds(first), sounds(second), distance)
                else:
                    pairs = near_pairs(pictures(first), pictures(second), distance)
                found.append((earlier[pairs.first], later[pairs.second], pairs.distances))
    return _nearest(*(np.concatenate(part) for part in zip(*found, strict=True)))


def _nearest(earlier: Indices, later: Indices, distances: Floats32) -> _Part:
    order = np.lexsort((later, distances, earlier))
    earlier, later, distances = earlier[order], later[order], distances[order]
    starts = np.flatnonzero(np.diff(earlier, prepend=-1))
    rank = np.arange(len(earlier)) - np.repeat(starts, np.diff(np.append(starts, len(earlier))))
    kept = rank < MOST_PARTNERS
    return earlier[kept], later[kept], distances[kept]


def _blocks(
    clips: Audited, column: str, wanted: Bools, size: int
) -> Iterator[tuple[Indices, Records]]:
    """Places and stored hashes of the wanted clips that can be used, about `size` at a time."""
    dtype = SOUND if column == "sound_hash" else PICTURE
    places: list[Indices] = []
    stored: list[Records] = []
    count = 0
    begin = 0
    for path, end in zip(clips.surveys, clips.ends, strict=True):
        chosen = wanted[begin:end] & clips.usable[begin:end]
        if chosen.any():
            values = read_parquet(path, [column])[column]
            chosen &= values.is_valid().to_numpy(zero_copy_only=False)
            places.append(begin + np.flatnonzero(chosen))
            stored.append(numbers_of(values.filter(pa.array(chosen)), dtype)[:, 0])
            count += len(stored[-1])
        begin = end
        if count >= size or (count and end == clips.ends[-1]):
            yield np.concatenate(places), np.concatenate(stored)
            places, stored, count = [], [], 0
