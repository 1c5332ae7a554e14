"""What training minimises: the task's loss of a model on a batch."""

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmlib.batch import LabelledBatch
from mmlib.models.base import Model
from mmlib.training.gblend import (
    HEADS,
    Curve,
    estimate,
)

Row = dict[str, float]
Objective = Callable[[Model, LabelledBatch, torch.Generator], Tensor]
"""(model in training mode, batch on its device, CPU generator of this step) -> scalar loss."""


def task_loss(task: str, logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss of logits (B, K) against labels (B, K) in [0, 1], soft ones allowed.

    multi_label: binary cross entropy, the mean over clips and classes; single_label: cross entropy,
    the mean over clips.
    """
    if task == "single_label":
        return F.cross_entropy(logits.float(), labels)
    return F.binary_cross_entropy_with_logits(logits.float(), labels)


def plain(task: str) -> Objective:
    """The objective of ordinary training: the task's loss of the prediction."""

    def objective(model: Model, batch: LabelledBatch, generator: torch.Generator) -> Tensor:
        return task_loss(task, model(batch.inputs), batch.labels)

    return objective


class BlendedObjective:
    """The weighted sum of the heads' losses; offline with fixed weights, online re-estimated.

    `every` n epochs (None: never) the weights are estimated anew from the model's own heads over
    the last n epochs; until then they are those given. They follow from the history alone, so that
    a resumed run uses the same ones.
    """

    def __init__(self, weights: Mapping[str, float], task: str, every: int | None = None) -> None:
        self.given, self.task, self.every = dict(weights), task, every
        self.weights = self.given

    def __call__(self, model: Model, batch: LabelledBatch, generator: torch.Generator) -> Tensor:
        """Return the scalar loss of a batch."""
        heads = model.heads(batch.inputs)
        losses = [
            weight * task_loss(self.task, heads[name], batch.labels)
            for name, weight in self.weights.items()
        ]
        return torch.stack(losses).sum()

    def begin_epoch(self, rows: Sequence[Row]) -> Row:
        """Choose the weights for the next epoch from the rows so far; return them as columns."""
        self.weights = self.given
        if self.every is not None and len(rows) > self.every:
            end = (len(rows) - 1) // self.every * self.every
            curves = {
                name: Curve(
                    *([row[f"{part}_loss_{name}"] for row in rows] for part in Curve._fields)
                )
                for name in HEADS
            }
            found = estimate(curves, end - self.every, end)
            self.weights = {name: found[name].weight for name in HEADS}
        return {f"weight_{name}": weight for name, weight in self.weights.items()}
