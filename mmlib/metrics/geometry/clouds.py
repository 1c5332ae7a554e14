"""The points whose density is measured: the clips of one split in every space of a run."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mmlib.metrics.geometry.head import Head
from mmlib.metrics.stored import Embeddings
from mmlib.runtime.arrays import Bools, Reals

JOINT = "joint"


class Clouds(NamedTuple):
    """`labels` (N, K) of the clips, and space -> points (N, D).

    `present`: space -> (N,), which clips have a point of their own there: not those without the
    modality.
    """

    labels: Bools
    points: Mapping[str, Reals]
    present: Mapping[str, Bools]

    def members(self, space: str, column: int) -> Reals | None:
        """The points of a class, (M, D); None where the space has none (the raw input)."""
        if space not in self.points:
            return None
        return self.points[space][self.labels[:, column] & self.present[space]]


def clouds(cached: Embeddings, head: Head) -> Clouds:
    """Every space of a run that has points: its embeddings, and those before fusion joined."""
    points = dict(cached.vectors)
    present = {name: head.present(name, vectors) for name, vectors in points.items()}
    parts = [name for name in points if name != "fused"]
    if len(points) > 1:
        points[JOINT] = np.concatenate([points[name] for name in parts], axis=1)
        present[JOINT] = np.logical_and.reduce([present[name] for name in parts])
    return Clouds(cached.labels, points, present)
