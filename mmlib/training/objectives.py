"""What training minimises: the task's loss of a model on a batch."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmlib.batch import LabelledBatch
from mmlib.models.base import Model
from mmlib.runtime.arrays import Bytes, Floats
from mmlib.training.gblend import (
    HEADS,
    Estimate,
    estimate,
)
from mmlib.training.history import (
    History,
    Row,
)
from mmlib.training.rows import row_blocks

Objective = Callable[[Model, LabelledBatch, torch.Generator], Tensor]
"""(model in training mode, batch on its device, CPU generator of this step) -> scalar loss."""

NOT_YET = Estimate(*[math.nan] * len(Estimate._fields))


def task_loss(task: str, logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss of logits (B, K) against labels (B, K) in [0, 1], soft ones allowed.

    multi_label: binary cross entropy, the mean over clips and classes; single_label: cross entropy,
    the mean over clips.
    """
    if task == "single_label":
        return F.cross_entropy(logits.float(), labels)
    return F.binary_cross_entropy_with_logits(logits.float(), labels)


def clip_losses(task: str, logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of each clip, (B,), of which `task_loss` is the mean."""
    if task == "single_label":
        return F.cross_entropy(logits.float(), labels, reduction="none")
    losses = F.binary_cross_entropy_with_logits(logits.float(), labels, reduction="none")
    return losses.mean(dim=1)


def prior_logits(task: str, labels: Bytes, drawn: Floats | None = None) -> Tensor:
    """The logits (K,) of the shares of the classes among labels (N, K), the best constant guess.

    Heads that begin there do not spend their first epochs on learning how rare the classes are
    (Lin et al. 2017, Focal Loss, section 4.1): with forty classes, CSN on the demo reaches in two
    epochs what else takes it more than twelve. Half a clip more with and half a clip more without
    each class keeps the logits finite. `drawn` (N,): the chance of each clip in a batch, where they
    are not drawn alike.
    """
    counts: Floats
    if drawn is None:
        counts = labels.sum(0, dtype=np.float64)
    else:
        parts = [len(labels) * drawn[rows] @ labels[rows] for rows in row_blocks(len(labels))]
        counts = np.sum(parts, axis=0)
    shares = torch.from_numpy((counts + 0.5) / (len(labels) + 1))
    return (shares.log() if task == "single_label" else shares.logit()).float()


def plain(task: str) -> Objective:
    """The objective of ordinary training: the task's loss of the prediction."""

    def objective(model: Model, batch: LabelledBatch, generator: torch.Generator) -> Tensor:
        return task_loss(task, model(batch.inputs), batch.labels)

    return objective


class BlendedObjective:
    """The weighted sum of the heads' losses; offline with fixed weights, online re-estimated.

    `every` n epochs (None: never) the weights are estimated anew from the model's own heads over
    the last n epochs; until then they are those given. They follow from the history and `seed`
    alone, so that a resumed run uses the same ones.
    """

    def __init__(
        self, weights: Mapping[str, float], task: str, every: int | None = None, seed: int = 0
    ) -> None:
        """`seed`: of the bootstrap."""
        self.given, self.task, self.every, self.seed = dict(weights), task, every, seed
        self.weights = self.given

    def __call__(self, model: Model, batch: LabelledBatch, generator: torch.Generator) -> Tensor:
        """Return the scalar loss of a batch."""
        heads = model.heads(batch.inputs)
        losses = [
            weight * task_loss(self.task, heads[name], batch.labels)
            for name, weight in self.weights.items()
        ]
        return torch.stack(losses).sum()

    def begin_epoch(self, history: History) -> Row:
        """Choose the weights for the next epoch from those so far; return them as columns.

        Online, `share_T`, `share_T_lo` and `share_T_hi` are the last estimate of head T and its
        interval, from which `weight_T` follows; empty before the first.
        """
        self.weights = self.given
        columns: Row = {}
        if self.every is not None:
            end = (len(history.rows) - 1) // self.every * self.every
            found = dict.fromkeys(HEADS, NOT_YET)
            if end > 0:
                found = estimate(history.clips[end - self.every], history.clips[end], self.seed)
                self.weights = {name: found[name].weight for name in HEADS}
            for name in HEADS:
                columns[f"share_{name}"] = found[name].share
                columns |= {f"share_{name}_lo": found[name].lo, f"share_{name}_hi": found[name].hi}
        return {f"weight_{name}": weight for name, weight in self.weights.items()} | columns
