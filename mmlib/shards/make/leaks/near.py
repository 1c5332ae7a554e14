"""The near-duplicates among all clips of the list, a block of the earlier ones at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from mmlib.runtime.arrays import Bools, Indices, Ints, Ints8, Records
from mmlib.runtime.parquet import numbers_of, read_parquet
from mmlib.shards.make.leaks.search import Pairs, joined, near_pairs, nearest, pictures, sounds
from mmlib.shards.rows.clips import SPLITS
from mmlib.shards.rows.ledger import PICTURE, SOUND

# Partners of one clip that are listed, the nearest first.
MOST_PARTNERS = 16
# Clips whose hashes are in memory at once, on the earlier and on the later side.
_EARLIER, _LATER = 8192, 32768


@dataclass(frozen=True)
class Part:
    """Clips of a survey file: those `wanted` (n,) of its n, which stand at `begin` in the list."""

    path: Path
    begin: int
    wanted: Bools


@dataclass(frozen=True)
class Block:
    """Clips of one split, some thousand, and all clips of later splits."""

    earlier: Sequence[Part]
    later: Sequence[Part]


def blocks(surveys: Sequence[Path], ends: Ints, splits: Ints8, usable: Bools) -> list[Block]:
    """Blocks that hold each usable clip of a split that has a later one, in the order of the list.

    A survey file for every `ends` of the clips; `splits` are places in SPLITS.
    """
    found = []
    for split in range(len(SPLITS) - 1):
        later = _parts(surveys, ends, usable & (splits > split))
        if later:
            earlier = _parts(surveys, ends, usable & (splits == split))
            found += [Block(parts, later) for parts in _grouped(earlier, _EARLIER)]
    return found


def _parts(surveys: Sequence[Path], ends: Ints, wanted: Bools) -> list[Part]:
    begins = np.concatenate([[0], ends[:-1]]).tolist()
    rows = np.split(wanted, ends[:-1])
    return [Part(*part) for part in zip(surveys, begins, rows, strict=True) if part[2].any()]


def _grouped(parts: Sequence[Part], size: int) -> Iterator[Sequence[Part]]:
    group: list[Part] = []
    for part in parts:
        group.append(part)
        if sum(int(each.wanted.sum()) for each in group) >= size:
            yield group
            group = []
    if group:
        yield group


def search(block: Block, sound_distance: float, picture_distance: float) -> tuple[Pairs, Pairs]:
    """Pairs that are near in sound, and in pictures: places in the list of an earlier clip and of a
    later one, at most 16 for each earlier clip."""
    return _search(block, "sound_hash", sound_distance), _search(
        block, "picture_hash", picture_distance
    )


def _search(block: Block, column: str, distance: float) -> Pairs:
    earlier, first = _read(block.earlier, column)
    found = joined([])
    for parts in _grouped(block.later, _LATER):
        later, second = _read(parts, column)
        if column == "sound_hash":
            pairs = near_pairs(sounds(first), sounds(second), distance, MOST_PARTNERS)
        else:
            pairs = near_pairs(pictures(first), pictures(second), distance, MOST_PARTNERS)
        placed = Pairs(earlier[pairs.first], later[pairs.second], pairs.distances)
        found = nearest(joined([found, placed]), MOST_PARTNERS)
    return found


def _read(parts: Sequence[Part], column: str) -> tuple[Indices, Records]:
    """Places in the list and stored hashes of the clips that have one."""
    dtype = SOUND if column == "sound_hash" else PICTURE
    places, stored = [np.empty(0, np.intp)], [np.empty(0, dtype)]
    for part in parts:
        values = read_parquet(part.path, [column])[column]
        chosen = part.wanted & values.is_valid().to_numpy(zero_copy_only=False)
        if chosen.any():
            places.append(part.begin + np.flatnonzero(chosen))
            stored.append(numbers_of(values.filter(pa.array(chosen)), dtype)[:, 0])
    return np.concatenate(places), np.concatenate(stored)
