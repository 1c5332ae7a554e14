"""Which clips of two sets are near-duplicates, by their perceptual hashes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Self, TypeVar

import numpy as np

from mmlib.runtime.arrays import Bools, Floats32, Indices, Ints8, Records, Words

# Clips a block of either side: their similarities take 64 MB.
_BLOCK = 4096
# Pairs that are compared in full at once.
_PAIRS = 4096
# What has to be common to two clips for a comparison.
_SURE_BITS = 64
_MOVING_STEPS = 2


@dataclass(frozen=True)
class Sounds:
    """Hashes of the sound of N clips: vectors (N, 16, 8), codes and masks (N, 64).

    Clips may be shifted against one another by up to half a second. `cosine`: least similarity of
    the vectors at the best shift.
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

    def distances(self, other: Self) -> Floats32:
        """Share of differing bits of each pair at the best shift; 1 where fewer than 64 count."""
        best = np.ones(len(self.codes), np.float32)
        steps = self.codes.shape[1]
        for shift in range(-2 * self.shifts, 2 * self.shifts + 1):
            one = slice(max(shift, 0), steps + min(shift, 0))
            two = slice(max(-shift, 0), steps - max(shift, 0))
            both = self.masks[:, one] & other.masks[:, two]
            wrong = (self.codes[:, one] ^ other.codes[:, two]) & both
            counted = np.bitwise_count(both).sum(1, dtype=np.float32)
            share = np.bitwise_count(wrong).sum(1, dtype=np.float32) / np.maximum(counted, 1)
            best = np.where(counted >= _SURE_BITS, np.minimum(best, share), best)
        return best


@dataclass(frozen=True)
class Pictures:
    """Hashes of the pictures of N clips: vectors (N, 1, 63), changes (N, 5, 143).

    `cosine`: least similarity of the vectors.
    """

    vectors: Floats32
    changes: Ints8

    cosine: ClassVar[float] = 0.98
    shifts: ClassVar[int] = 0

    def rows(self, rows: slice | Indices) -> Self:
        """Some of the clips."""
        return replace(self, vectors=self.vectors[rows], changes=self.changes[rows])

    def distances(self, other: Self) -> Floats32:
        """1 less the cosine of each pair's changes, over the steps that both have; 1 to 2 where
        they contradict one another, 1 where fewer than two steps are common."""
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


def sounds(stored: Records) -> Sounds:
    """Stored hashes, (N,) of dtype SOUND, for comparison."""
    return Sounds(stored["vector"].astype(np.float32), stored["code"], stored["mask"])


def pictures(stored: Records) -> Pictures:
    """Stored hashes, (N,) of dtype PICTURE, for comparison."""
    return Pictures(stored["vector"].astype(np.float32), stored["changes"])


def near_pairs(first: Kind, second: Kind, distance: float) -> Pairs:
    """All pairs of a clip of `first` and one of `second` at most `distance` apart, in their order.

    Memory is that of one block and of the result; time grows with the product of the sizes.
    """
    found = [Pairs(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0, np.float32))]
    for start in range(0, len(first.vectors), _BLOCK):
        one = first.rows(slice(start, start + _BLOCK))
        shifts = range(-one.shifts, one.shifts + 1)
        moved = [_moved(one.vectors, shift).reshape(len(one.vectors), -1) for shift in shifts]
        for other in range(0, len(second.vectors), _BLOCK):
            two = second.rows(slice(other, other + _BLOCK))
            for rows, columns in _alike(moved, two.vectors, one.cosine):
                distances = one.rows(rows).distances(two.rows(columns))
                near = distances <= distance
                found.append(Pairs(rows[near] + start, columns[near] + other, distances[near]))
    joined = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    order = np.lexsort((joined[1], joined[0]))
    return Pairs(*(part[order] for part in joined))


def _alike(
    moved: Sequence[Floats32], vectors: Floats32, cosine: float
) -> Iterator[tuple[Indices, Indices]]:
    """Pairs whose vectors are alike at some shift, some thousands at a time."""
    flat = vectors.reshape(len(vectors), -1).T
    passed = np.zeros((len(moved[0]), len(vectors)), np.bool_)
    for one in moved:
        passed |= one @ flat >= cosine
    places = np.flatnonzero(passed)
    for start in range(0, len(places), _PAIRS):
        rows, columns = np.divmod(places[start : start + _PAIRS], len(vectors))
        yield rows, columns


def _moved(vectors: Floats32, shift: int) -> Floats32:
    """The vectors from `shift` rows on (below 0: after so many rows of zeros), of length 1."""
    moved = np.zeros_like(vectors)
    count = vectors.shape[1] - abs(shift)
    moved[:, max(-shift, 0) :][:, :count] = vectors[:, max(shift, 0) :][:, :count]
    lengths = np.linalg.norm(moved, axis=(1, 2), keepdims=True)
    np.divide(moved, lengths, out=moved, where=lengths > 0)
    return moved
