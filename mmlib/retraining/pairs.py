"""Who meets whom in mixup: anchors and partners drawn from a training split [choice]."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from mmlib.retraining.guide import Guide
from mmlib.runtime.arrays import Bytes, Floats, Ints
from mmlib.runtime.errors import UserError

Choice = Literal["guided", "uniform"]

_ROUNDS = 32  # rejections before the draw from another class is made from the exact pool


@dataclass(frozen=True)
class Pool:
    """Clips and the chance of each: `members` (M,) indices, `cumulative` (M,) rising to 1."""

    members: Ints
    cumulative: Floats

    @classmethod
    def of(cls, members: Ints, weight: Floats) -> "Pool":
        """Weigh the members by `weight` (M,), not all 0."""
        cumulative = weight.cumsum()
        return cls(members, cumulative / cumulative[-1])

    @classmethod
    def near(cls, members: Ints, distance: Floats | None, temperature: float | None) -> "Pool":
        """Weigh the members by exp(-distance / temperature); uniformly when either is None.

        Distances are taken from the nearest member, which changes no probability and lets every
        temperature > 0 work without underflow.
        """
        if distance is None or temperature is None:
            return cls.of(members, np.ones(members.size))
        return cls.of(members, np.exp(-(distance - distance.min()) / temperature))

    @property
    def chances(self) -> Floats:
        """The chance of each member, (M,), sum 1."""
        return np.diff(self.cumulative, prepend=0.0)

    def draw(self, rng: np.random.Generator, size: int) -> Ints:
        """Draw clips with replacement: (size,) indices."""
        place = np.searchsorted(self.cumulative, rng.random(size), side="right")
        return self.members[np.minimum(place, self.members.size - 1)]


class Pairs:
    """Draws anchors and partners from one training split.

    Anchors: a class by the guide's weights, then a clip of it, one of n labels 1 / n as often as
    one of one; or, unguided, every clip once an epoch, its class one of its labels. So weights
    that are the classes' shares draw every labelled clip alike. Partners: with probability
    `same_class_share` a clip of the anchor's class, else a clip without that class, each by its
    distance to its centre (to the nearest of its centres when it stands for another class); or,
    unguided, any clip. A clip without labels has no centre, and is drawn in the unguided ways only.
    """

    def __init__(self, labels: Bytes, guide: Guide | None, distances: Floats | None) -> None:
        """`distances` (M,): one for each non-zero of `labels` in row-major order; None: uniform."""
        self.labels = labels
        self.guide = guide
        temperature = guide.temperature if guide else None
        rows, columns = np.nonzero(labels)
        if guide is not None and rows.size == 0:
            raise UserError("mixup: no clip of the train split has a label")
        order = np.argsort(columns, kind="stable")
        starts = np.searchsorted(columns[order], np.arange(labels.shape[1] + 1))
        self._each = np.maximum(np.count_nonzero(labels, axis=1), 1)
        self._anchors: dict[int, Pool] = {}
        self._classes: list[Pool | None] = []
        for start, end in pairwise(starts):
            part = order[start:end]
            near = None if distances is None else distances[part]
            self._classes.append(Pool.near(rows[part], near, temperature) if part.size else None)
        nearest = None
        labelled = np.unique(rows)
        if distances is not None:
            closest = np.full(labels.shape[0], np.inf)
            np.minimum.at(closest, rows, distances)
            nearest = closest[labelled]
        self._everyone = np.arange(labels.shape[0])
        self._labelled = Pool.near(labelled, nearest, temperature) if rows.size else None

    def anchors(
        self, rng: np.random.Generator, size: int, choice: Choice, turn: Ints
    ) -> tuple[Ints, Ints]:
        """Draw anchors and the class that each stands for (-1: none): two (size,) arrays.

        `turn` (size,): the clips whose turn it is, which are the anchors unless a guide draws them.
        """
        weight = self.guide.class_weight if self.guide and choice == "guided" else None
        if weight is None:
            return turn, self._any_label(rng, turn)
        classes = rng.choice(weight.size, size=size, p=weight)
        clips = np.empty(size, dtype=np.int64)
        for label in np.unique(classes):
            pool = self._classes[label]
            if pool is None:
                raise UserError(f"mixup: the guide weighs class {label}, which has no train clip")
            stand = np.flatnonzero(classes == label)
            if label not in self._anchors:
                self._anchors[label] = Pool.of(pool.members, 1.0 / self._each[pool.members])
            clips[stand] = self._anchors[label].draw(rng, stand.size)
        return clips, classes.astype(np.int64)

    def partners(self, rng: np.random.Generator, classes: Ints, choice: Choice) -> Ints:
        """Draw a partner for an anchor of each class (B,): (B,) indices."""
        shares = self.guide.same_class_share if self.guide and choice == "guided" else None
        if shares is None:
            return rng.integers(self.labels.shape[0], size=classes.size)
        same = (rng.random(classes.size) < shares[classes]) & (classes >= 0)
        result = np.empty(classes.size, dtype=np.int64)
        for place in np.flatnonzero(same):
            pool = self._classes[classes[place]]
            assert pool is not None  # an anchor of the class exists
            result[place] = pool.draw(rng, 1)[0]
        others = np.flatnonzero(~same)
        result[others] = self._of_another_class(rng, classes[others])
        return result

    def partner_chances(self, label: int) -> Floats:
        """The chance of every clip to be the guided partner of an anchor of this class, (N,)."""
        chances = np.zeros(self.labels.shape[0])
        shares = self.guide.same_class_share if self.guide else None
        pool, others = self._classes[label], self._labelled
        if shares is None or pool is None or others is None:
            return chances + 1.0 / chances.size
        chances[others.members] = others.chances * (self.labels[others.members, label] == 0)
        rest = chances.sum()
        if rest > 0:
            chances *= (1.0 - shares[label]) / rest
        else:  # every clip has the class
            chances[others.members] = (1.0 - shares[label]) * others.chances
        chances[pool.members] += shares[label] * pool.chances
        return chances

    def _any_label(self, rng: np.random.Generator, clips: Ints) -> Ints:
        keys = (1.0 - rng.random((clips.size, self.labels.shape[1]))) * (self.labels[clips] > 0)
        return np.where(keys.max(axis=1) > 0, keys.argmax(axis=1), -1)

    def _of_another_class(self, rng: np.random.Generator, classes: Ints) -> Ints:
        """Draw by rejection: exact, and without a pool of almost all clips for every class."""
        assert self._labelled is not None
        result = self._labelled.draw(rng, classes.size)
        for _ in range(_ROUNDS):
            clash = np.flatnonzero((classes >= 0) & (self.labels[result, classes] > 0))
            if clash.size == 0:
                return result
            result[clash] = self._labelled.draw(rng, clash.size)
        for place in np.flatnonzero((classes >= 0) & (self.labels[result, classes] > 0)):
            result[place] = self._exact_other(rng, int(classes[place]), int(result[place]))
        return result

    def _exact_other(self, rng: np.random.Generator, label: int, fallback: int) -> int:
        assert self._labelled is not None
        pool = self._labelled
        weight = pool.chances * (self.labels[pool.members, label] == 0)
        if weight.sum() == 0:  # every clip has the class: there is no other
            return fallback
        return int(rng.choice(pool.members, p=weight / weight.sum()))


def aligned_distances(
    guide: Guide, classes: Sequence[str], clip_ids: Sequence[str], labels: Bytes
) -> Floats:
    """Return the guide's distances (M,), one for each non-zero of `labels` in row-major order.

    Raises UserError when the guide was made from other classes, clips or labels.
    """
    if tuple(classes) != guide.classes:
        raise UserError("mixup: the guide's classes differ from the shards'; run `dvc repro`")
    result: list[float] = []
    for clip_id, count in zip(clip_ids, np.count_nonzero(labels, axis=1), strict=True):
        found = guide.distances.get(clip_id)
        if found is None or len(found) != count:
            raise UserError(
                f"mixup: the guide does not fit train clip {clip_id!r}, because it was made from "
                "other clips or labels; run `dvc repro`"
            )
        result.extend(found)
    return np.asarray(result, dtype=np.float64)
