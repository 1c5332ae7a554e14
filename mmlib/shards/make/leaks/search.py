"""Which clips of two sets are near-duplicates, by their perceptual hashes.

The vectors of all pairs are compared, and of those whose vectors may be alike the finer parts. No
index stands between, so that nothing is missed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Self, TypeVar

import numpy as np

from mmlib.runtime.arrays import Bools, Floats32, Indices, Ints8, Records, Words, Words64
from mmlib.shards.make.leaks.sieve import Sieve

# Clips of the first set that are compared with all of the second at once.
_ROWS = 256
# Pairs whose finer parts are compared at once, at most.
_PAIRS = 512
# What has to be common to two clips for a comparison.
_SURE_BITS = 64
_MOVING_STEPS = 2


@dataclass(frozen=True)
class Sounds:
    """Hashes of the sound of N clips: vectors (N, 16, 8), codes and masks (N, 64).

    Clips may be shifted against one another by up to half a second. `cosine`: how alike the
    vectors are at least, at a shift.
    """

    vectors: Floats32
    codes: Words
    masks: Words

    cosine: ClassVar[float] = 0.45
    shifts: ClassVar[int] = 5

    def rows(self, rows: slice | Indices) -> Self:
        """Some of the clips."""
        return replace(
            self, vectors=self.vectors[rows], codes=self.codes[rows], masks=self.masks[rows]
        )

    def moved(self) -> list[Floats32]:
        """The vectors at each shift, a tenth of a second apart."""
        return [_moved(self.vectors, shift) for shift in range(-self.shifts, self.shifts + 1)]

    def comparable(self) -> Bools:
        """Which clips (N,) can be near another at all; silence cannot."""
        sure = np.bitwise_count(self.masks).sum(1, dtype=np.int32)
        return np.asarray((sure >= _SURE_BITS) & np.any(self.vectors, axis=(1, 2)))

    def distances(self, other: Self, place: int | None = None) -> Floats32:
        """Share of differing bits of each pair at the best shift; 1 where fewer than 64 count.

        With `place`, only at the shift of `moved()[place]` and half of its step to either side.
        """
        best = np.ones(len(self.codes), np.float32)
        mine, theirs = _Steps(self), _Steps(other)
        farthest = 2 * self.shifts
        near = range(-farthest, farthest + 1)
        if place is not None:
            middle = 2 * (place - self.shifts)
            near = range(max(middle - 1, -farthest), min(middle + 1, farthest) + 1)
        for shift in near:
            late, early = (mine, theirs) if shift >= 0 else (theirs, mine)
            half, odd = divmod(abs(shift), 2)
            (code, mask), (other_code, other_mask) = late.of(odd), early.of(0)
            both = mask[half:] & other_mask[: len(mask) - half]
            wrong = (code[half:] ^ other_code[: len(code) - half]) & both
            counted = np.bitwise_count(both).sum(0, dtype=np.uint16)
            share = np.bitwise_count(wrong).sum(0, dtype=np.uint16) / np.maximum(counted, 1)
            best = np.where(counted >= _SURE_BITS, np.minimum(best, share), best)
        return np.asarray(best, np.float32)


class _Steps:
    """Codes and masks of N clips as (32, N) words of two steps, from step 0 or step 1 on.

    Clips lie along the last axis: sums over steps are then sums of rows.
    """

    def __init__(self, clips: Sounds) -> None:
        self._clips = clips
        self._made: dict[int, tuple[Words64, Words64]] = {}

    def of(self, first: int) -> tuple[Words64, Words64]:
        """Codes and masks; what is missing at the end counts as not sure."""
        if first not in self._made:
            made: list[Words64] = []
            for words in (self._clips.codes, self._clips.masks):
                steps = np.pad(words[:, first:], ((0, 0), (0, first))) if first else words
                made.append(np.ascontiguousarray(steps.view(np.uint64).T))
            self._made[first] = made[0], made[1]
        return self._made[first]


@dataclass(frozen=True)
class Pictures:
    """Hashes of the pictures of N clips: vectors (N, 1, 63), changes (N, 5, 143).

    `cosine`: least similarity of the vectors.
    """

    vectors: Floats32
    changes: Ints8

    cosine: ClassVar[float] = 0.98

    def rows(self, rows: slice | Indices) -> Self:
        """Some of the clips."""
        return replace(self, vectors=self.vectors[rows], changes=self.changes[rows])

    def moved(self) -> list[Floats32]:
        """The vectors, which are not shifted."""
        return [self.vectors]

    def comparable(self) -> Bools:
        """Which clips (N,) can be near another at all; black pictures and stills cannot."""
        moving = np.any(self.changes, axis=2).sum(1)
        return np.asarray((moving >= _MOVING_STEPS) & np.any(self.vectors, axis=(1, 2)))

    def distances(self, other: Self, place: int | None = None) -> Floats32:
        """1 less the cosine of each pair's changes, over the steps that both have; 1 to 2 where
        they contradict one another, 1 where fewer than two steps are common. There is one shift."""
        del place
        one, two = self.changes.astype(np.float32), other.changes.astype(np.float32)
        moving: Bools = np.any(one, axis=2) & np.any(two, axis=2)
        one, two = one * moving[..., None], two * moving[..., None]
        lengths = np.linalg.norm(one, axis=(1, 2)) * np.linalg.norm(two, axis=(1, 2))
        cosines = (one * two).sum((1, 2)) / np.maximum(lengths, 1)
        found = np.where(moving.sum(1) >= _MOVING_STEPS, 1 - cosines, 1)
        return np.asarray(found, np.float32)


Kind = TypeVar("Kind", Sounds, Pictures)


class Pairs(NamedTuple):
    """Places in the first and in the second set, and the distance of the two clips' hashes."""

    first: Indices
    second: Indices
    distances: Floats32

    def rows(self, places: Indices) -> "Pairs":
        """The pairs at these places, in their order."""
        return Pairs(self.first[places], self.second[places], self.distances[places])


def sounds(stored: Records) -> Sounds:
    """Stored hashes, (N,) of dtype SOUND, for comparison."""
    return Sounds(stored["vector"].astype(np.float32), stored["code"], stored["mask"])


def pictures(stored: Records) -> Pictures:
    """Stored hashes, (N,) of dtype PICTURE, for comparison."""
    return Pictures(stored["vector"].astype(np.float32), stored["changes"])


def near_pairs(first: Kind, second: Kind, distance: float, most: int | None = None) -> Pairs:
    """All pairs of a clip of `first` and one of `second` at most `distance` apart, in their order.

    They are so at a shift at which their vectors are alike; the distance is that at the best shift.
    With `most`, only so many of each clip of `first`, the nearest; then memory does not depend on
    how many clips are alike. Time grows with the product of the sizes.
    """
    places = np.flatnonzero(first.comparable()), np.flatnonzero(second.comparable())
    first, second = first.rows(places[0]), second.rows(places[1])
    found = [joined([])]
    sieve = Sieve(flat(second.vectors))
    for start in range(0, len(places[0]), _ROWS):
        rows = first.rows(slice(start, start + _ROWS))
        near = nearest(joined(list(_near(rows, second, sieve, distance))), most)
        found.append(near._replace(first=near.first + start))
    pairs = joined(found)
    return Pairs(places[0][pairs.first], places[1][pairs.second], pairs.distances)


def nearest(pairs: Pairs, most: int | None) -> Pairs:
    """The pairs in their order; with `most`, only so many of each clip of the first set."""
    if most is not None:
        order = np.lexsort((pairs.second, pairs.distances, pairs.first))
        firsts = pairs.first[order]
        starts = np.flatnonzero(np.diff(firsts, prepend=-1))
        rank = np.arange(len(firsts))
        rank -= np.repeat(starts, np.diff(np.append(starts, len(firsts))))
        pairs = pairs.rows(order[rank < most])
    return pairs.rows(np.lexsort((pairs.second, pairs.first)))


def joined(parts: Sequence[Pairs]) -> Pairs:
    """The pairs one after another."""
    none = Pairs(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0, np.float32))
    return Pairs(*(np.concatenate(part) for part in zip(none, *parts, strict=True)))


def _near(rows: Kind, second: Kind, sieve: Sieve, distance: float) -> Iterator[Pairs]:
    """Near pairs of a few clips and all of the second set, in any order."""
    moved, others = [flat(vectors) for vectors in rows.moved()], flat(second.vectors)
    for places in sieve.alike(moved, rows.cosine):
        keys = [np.empty(0, np.intp)]
        for place, (ones, twos) in enumerate(places):
            for start in range(0, len(ones), _PAIRS):
                one, two = ones[start : start + _PAIRS], twos[start : start + _PAIRS]
                kept = rows.rows(one).distances(second.rows(two), place) <= distance
                one, two = one[kept], two[kept]
                alike = (moved[place][one] * others[two]).sum(1) >= rows.cosine
                keys.append(one[alike] * len(others) + two[alike])
        ones, twos = np.divmod(np.unique(np.concatenate(keys)), len(others))
        for start in range(0, len(ones), _PAIRS):
            one, two = ones[start : start + _PAIRS], twos[start : start + _PAIRS]
            yield Pairs(one, two, rows.rows(one).distances(second.rows(two)))


def flat(vectors: Floats32) -> Floats32:
    """Vectors (N, rows, columns) as (N, rows * columns)."""
    return vectors.reshape(len(vectors), vectors.shape[1] * vectors.shape[2])


def _moved(vectors: Floats32, shift: int) -> Floats32:
    """The vectors from `shift` rows on (below 0: after so many rows of zeros), of length 1."""
    moved = np.zeros_like(vectors)
    count = vectors.shape[1] - abs(shift)
    moved[:, max(-shift, 0) :][:, :count] = vectors[:, max(shift, 0) :][:, :count]
    lengths = np.linalg.norm(moved, axis=(1, 2), keepdims=True)
    np.divide(moved, lengths, out=moved, where=lengths > 0)
    return moved
