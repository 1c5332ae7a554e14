"""Which clips are in which batch of plain training: in which order, how often, and mixed or not.

What is drawn follows from the seed, the epoch and the batch alone, and for the whole batch: a
resumed run goes on with it, and several processes read their own rows of the same batches.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from mmlib.batch import ALONE, Place, Rows
from mmlib.params.training import Batches
from mmlib.runtime.arrays import Bytes, Floats, Indices
from mmlib.runtime.seeds import derive
from mmlib.shards.read.loader import ShardSet
from mmlib.training.mixing import Drawn, Paired
from mmlib.training.rows import row_blocks


class Pace(NamedTuple):
    """Steps of the optimiser in an epoch, and the batches whose gradients make one."""

    steps: int
    batches: int


def pace(clips: int, batch_size: int, settings: Batches) -> Pace:
    """The pace of a split of so many clips: without `epoch_steps` an epoch is one pass over it.

    What is left of a pass that fills no step is left out.
    """
    a_pass = max(1, clips // batch_size)
    if settings.epoch_steps is not None:
        return Pace(settings.epoch_steps, settings.accumulation)
    together = min(settings.accumulation, a_pass)
    return Pace(a_pass // together, together)


def class_shares(labels: Bytes) -> Floats:
    """The chance (N,) of each clip in class-balanced sampling, from labels (N, K); sums to 1.

    A clip counts 1 / (clips of the class) for each of its classes, so that all classes are drawn
    alike but for those that come along; without any class, as a clip of the mean class. (PSLA, Gong
    et al. 2021, and the later code of the paper's authors, gen_weight_file.py.)
    """
    counts = labels.sum(0, dtype=np.int64)
    each = np.divide(1.0, counts, out=np.zeros(len(counts)), where=counts > 0)
    weights = np.concatenate([labels[rows] @ each for rows in row_blocks(len(labels))])
    unlabelled = ~labels.any(1)
    weights[unlabelled] = each[counts > 0].mean() if counts.any() else 1.0
    shares: Floats = weights / weights.sum()
    return shares


@dataclass(frozen=True)
class PlainBatches:
    """The batch source of plain training: epoch -> batches of this process, for `loop.fit`.

    `pinned`: see `ShardSet.read`. Clips that are mixed come with their partners, to be mixed on the
    device; `mixes` False leaves them alone.
    """

    clips: ShardSet
    modalities: tuple[str, ...]
    batch_size: int
    settings: Batches
    seed: int
    place: Place = ALONE
    pinned: bool = False
    mixes: bool = True

    def __call__(self, epoch: int) -> Iterator[Drawn]:
        """Yield the epoch's batches."""
        pairs: deque[tuple[Indices, Floats]] = deque()
        mixes = self.mixes and self.settings.mixup_share > 0

        def wanted() -> Iterator[Indices]:
            for number, whole in enumerate(self._whole(epoch)):
                rows = Rows.of(len(whole), self.place).slice
                if not mixes:
                    yield whole[rows]
                    continue
                places, others, lambdas = self._pairs(epoch, number, len(whole), rows)
                pairs.append((places, lambdas))
                yield np.concatenate([whole[rows], whole[others]])

        batches = self.clips.read(wanted(), self.modalities, pinned=self.pinned)
        for batch in batches:
            yield Paired(batch, *map(torch.from_numpy, pairs.popleft())) if mixes else batch

    def _whole(self, epoch: int) -> Iterator[Indices]:
        """The places of the clips of each whole batch: pass after pass, an epoch's share."""
        a_pass = max(1, len(self.clips) // self.batch_size)
        steps, together = pace(len(self.clips), self.batch_size, self.settings)
        count = steps * together
        first = epoch * (a_pass if self.settings.epoch_steps is None else count)
        order, ordered = np.empty(0, np.intp), -1
        for number in range(first, first + count):
            turn, place = divmod(number, a_pass)
            if turn != ordered:
                order, ordered = self._order(turn), turn
            yield order[place * self.batch_size : (place + 1) * self.batch_size]

    def _order(self, turn: int) -> Indices:
        """The places of as many clips as the split has, in the order of one pass."""
        if self.settings.sampling == "shuffled":
            return self.clips.shuffled(self.seed, turn)
        rng = np.random.default_rng(derive(self.seed, "balanced", turn))
        count = len(self.clips)
        return rng.choice(count, count, p=class_shares(self.clips.labels))

    def _pairs(
        self, epoch: int, number: int, size: int, rows: slice
    ) -> tuple[Indices, Indices, Floats]:
        """Of this process: which of its rows are mixed, with which clip of the batch, by what."""
        rng = np.random.default_rng(derive(self.seed, "mixed", epoch, number))
        chosen = rng.random(size) < self.settings.mixup_share
        others = rng.permutation(size)
        lambdas = rng.beta(self.settings.mixup_beta, self.settings.mixup_beta, size)
        mine = np.flatnonzero(chosen[rows])
        return mine, others[rows][mine], lambdas[rows][mine]
