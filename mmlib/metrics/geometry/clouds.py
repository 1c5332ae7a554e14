"""The points whose density is measured: the clips of one split in every space of a run.

A part of them is in memory at a time: the embeddings of a large set may be tens of gigabytes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mmlib.metrics.geometry.density import distances_to
from mmlib.metrics.geometry.head import Head
from mmlib.metrics.stored import EMBEDDINGS, stored_parts
from mmlib.runtime.arrays import Bools, Floats, Reals
from mmlib.runtime.parquet import Reader

JOINT = "joint"


class Clouds(NamedTuple):
    """`labels` (N, K) of some clips, and space -> points (N, D).

    `present`: space -> (N,), which clips have a point of their own there: not those without the
    modality.
    """

    labels: Bools
    points: Mapping[str, Reals]
    present: Mapping[str, Bools]

    def members(self, space: str, column: int) -> Reals:
        """The points of a class, (M, D)."""
        return self.points[space][self.labels[:, column] & self.present[space]]


Parts = Callable[[str], Iterable[Clouds]]
"""space -> the clips of the split, in parts, with their points there at least; no part where the
space has none (the raw input)."""


def clouds(labels: Bools, vectors: Mapping[str, Reals], head: Head) -> Clouds:
    """Every space of a run that has points: its embeddings, and those before fusion joined."""
    points = dict(vectors)
    present = {name: head.present(name, vectors) for name, vectors in points.items()}
    parts = [name for name in points if name != "fused"]
    if len(parts) > 1:
        points[JOINT] = np.concatenate([points[name] for name in parts], axis=1)
        present[JOINT] = np.logical_and.reduce([present[name] for name in parts])
    return Clouds(labels, points, present)


def stored_clouds(embeddings: Reader, split: str, head: Head) -> Parts:
    """The clips of a split of data/embeddings/<run>.parquet, a row group at a time."""
    there = [name for name in EMBEDDINGS if name in embeddings.schema.names]

    def parts(space: str) -> Iterator[Clouds]:
        names = [name for name in there if name != "fused"] if space == JOINT else [space]
        if set(names) <= set(there):
            for labels, vectors in stored_parts(embeddings, split, names):
                yield clouds(labels, vectors, head)

    return parts


def distances(
    dense: Parts, space: str, columns: Sequence[int], p: float
) -> tuple[list[Floats], int]:
    """The l_p distance to its class's centroid of each member of each class, (M,) in the order of
    the parts, and the dimensions of the space; 0 where it has no points."""
    centres = [_Mean() for _ in columns]
    for part in dense(space):
        for centre, column in zip(centres, columns, strict=True):
            centre.add(part.members(space, column))
    found: list[list[Floats]] = [[np.empty(0)] for _ in columns]
    for part in dense(space):
        for of_class, centre, column in zip(found, centres, columns, strict=True):
            of_class.append(distances_to(part.members(space, column), centre.mean, p))
    return [np.concatenate(of_class) for of_class in found], max(c.dims for c in centres)


class _Mean:
    """The mean of points that come in parts, (D,) in float64."""

    def __init__(self) -> None:
        self._sum: Floats = np.zeros(0)
        self._count = 0

    @property
    def dims(self) -> int:
        return len(self._sum)

    @property
    def mean(self) -> Floats:
        return self._sum / max(1, self._count)

    def add(self, points: Reals) -> None:
        added = points.sum(axis=0, dtype=np.float64)
        self._sum = self._sum + added if self._count else added
        self._count += len(points)
