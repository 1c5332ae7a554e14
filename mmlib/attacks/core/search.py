"""What every attack shares: the attacked model, the allowed region, the best point so far."""

from collections.abc import Mapping, Sequence
from copy import copy

import torch
from torch import Tensor

from mmlib.attacks.core.evaluated import evaluate
from mmlib.attacks.core.losses import (
    Loss,
    of_rows,
    resolve,
)
from mmlib.attacks.core.region import Region
from mmlib.attacks.core.threat import Threat, clip_seeds
from mmlib.batch import Batch, Forward
from mmlib.runtime.errors import UserError
from mmlib.runtime.seeds import derive

Points = dict[str, Tensor]
"""The attacked modalities alone: modality -> (B, ...)."""

Start = Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]] | None
"""Batches to begin from, one or several; each is projected and competes as a candidate."""


class Search:
    """One attack on one batch: maximise the loss of each clip over its allowed region.

    Keeps, for each clip, the point of highest loss among all that were evaluated, so that an
    attack returns the best point of its path and not the last one. The loss is summed over the
    batch before differentiation, and gradients are taken with respect to the inputs only, so a
    clip's result does not depend on its neighbours. The model is left as it was: a module in
    training mode is in eval mode while it is asked. With `aim`, gradients are those of another loss
    than the one by which points are kept.
    """

    def __init__(
        self,
        model: Forward,
        batch: Batch,
        labels: Tensor,
        threat: Threat,
        loss: str | Loss,
        seeds: Sequence[int] | int = 0,
        aim: Loss | None = None,
    ) -> None:
        missing = [modality for modality in threat if modality not in batch]
        if missing or not threat:
            raise UserError(
                f"the threat is on {', '.join(missing) or 'nothing'}, "
                f"but the batch has {', '.join(batch)}"
            )
        self.model, self.batch, self.labels = model, batch, labels
        self.loss = resolve(loss)
        self.aim = self.loss if aim is None else resolve(aim)
        self.regions = {
            name: Region(batch[name], budget, batch.get(f"{name}_present"), name)
            for name, budget in threat.items()
        }
        self.clean: Points = {name: region.clean for name, region in self.regions.items()}
        self.seeds = clip_seeds(seeds, len(labels))
        self.best = self.clean
        self.best_losses = torch.full((len(labels),), -torch.inf, device=labels.device)
        self.best_logits: Tensor | None = None

    def losses(self, points: Points) -> Tensor:
        """Evaluate points (B,), and keep those that beat the best so far."""
        with torch.no_grad():
            logits = evaluate(self.model, {**self.batch, **points}, len(self.labels))
        return self.offer(points, logits)

    def offer(self, points: Points, logits: Tensor) -> Tensor:
        """Let points of known logits (B, K) compete with the best so far; their losses (B,)."""
        losses = self.loss(logits, self.labels)
        if self.best_logits is None:
            self.best_logits = torch.full_like(logits, torch.nan)
        better = losses > self.best_losses
        if bool(better.all()):
            self.best, self.best_losses, self.best_logits = dict(points), losses, logits
        elif bool(better.any()):
            self.best = self.merge(better, points, self.best)
            self.best_losses = torch.where(better, losses, self.best_losses)
            self.best_logits = torch.where(better[:, None], logits, self.best_logits)
        return losses

    def gradients(self, points: Points) -> tuple[Tensor, Points]:
        """Evaluate points as `losses` does; give the aim (B,) and its gradient for each modality.

        Elements without a finite gradient, and modalities that the model ignores, count as zero; so
        do all of them where no clip has any of the modalities.
        """
        leaves = {name: point.detach().requires_grad_() for name, point in points.items()}
        with torch.enable_grad():
            logits = evaluate(self.model, {**self.batch, **leaves}, len(self.labels))
            losses = self.aim(logits, self.labels)
            # Without a graph the model has read none of them.
            total, inputs = losses.sum(), list(leaves.values())
            gradients: Sequence[Tensor | None] = [None] * len(inputs)
            if total.requires_grad:
                gradients = torch.autograd.grad(total, inputs, allow_unused=True)
        self.offer(points, logits.detach())
        found = {
            name: torch.zeros_like(leaf) if gradient is None else _finite(gradient)
            for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True)
        }
        return losses.detach(), found

    def merge(self, chosen: Tensor, points: Points, others: Points) -> Points:
        """Take `points` for the chosen clips, (B,) bool, and `others` for the rest."""
        return {
            name: torch.where(region.column(chosen), points[name], others[name])
            for name, region in self.regions.items()
        }

    def ascend(self, points: Points, gradients: Points, length: float | Tensor) -> Points:
        """Step each modality along its norm's steepest direction by `length` of its radius."""
        return {
            name: region.ascend(points[name], gradients[name], length)
            for name, region in self.regions.items()
        }

    def vertex(self, gradients: Points) -> Points:
        """The allowed points that a linear loss with these gradients likes best."""
        return {name: region.vertex(gradients[name]) for name, region in self.regions.items()}

    def project(self, points: Mapping[str, Tensor]) -> Points:
        """The nearest allowed points; modalities that `points` lacks stay clean."""
        return {
            name: region.project(points[name].detach()) if name in points else region.clean
            for name, region in self.regions.items()
        }

    def random(self, *parts: int | str) -> Points:
        """Random allowed points, from each clip's seed and `parts` (such as the restart)."""
        seeds = [derive(seed, *parts, draw=True) for seed in self.seeds]
        return {name: region.random(seeds, name) for name, region in self.regions.items()}

    def begin(self, start: Start) -> Points:
        """Evaluate the starts (the clean points when there are none); give the best per clip."""
        starts = [start] if isinstance(start, Mapping) else list(start or [])
        for points in starts or [self.clean]:
            self.losses(self.project(points))
        return self.best

    def on(self, model: Forward) -> "Search":
        """The same search of another model, with nothing found yet."""
        other = copy(self)
        other.model, other.best, other.best_logits = model, self.clean, None
        other.best_losses = torch.full_like(self.best_losses, -torch.inf)
        return other

    def rows(self, index: Tensor) -> "Search":
        """The search of the clips at `index` (R,) alone, with what was found for them."""
        part = copy(self)
        part.batch = {name: tensor[index] for name, tensor in self.batch.items()}
        part.loss, part.aim = of_rows(self.loss, index), of_rows(self.aim, index)
        part.labels, part.best_losses = self.labels[index], self.best_losses[index]
        part.regions = {name: region.rows(index) for name, region in self.regions.items()}
        part.clean = {name: region.clean for name, region in part.regions.items()}
        part.seeds = [self.seeds[row] for row in index.tolist()]
        part.best = {name: points[index] for name, points in self.best.items()}
        part.best_logits = None if self.best_logits is None else self.best_logits[index]
        return part

    def adopt(self, index: Tensor, part: "Search") -> None:
        """Take what `part`, the search of the clips at `index`, has found for them."""
        if self.best_logits is None or part.best_logits is None:
            raise ValueError("adopt is for searches that have evaluated points")
        self.best = {
            name: points.index_copy(0, index, part.best[name]) for name, points in self.best.items()
        }
        self.best_losses = self.best_losses.index_copy(0, index, part.best_losses)
        self.best_logits = self.best_logits.index_copy(0, index, part.best_logits)

    def unbroken(self, broken: Loss | None) -> Tensor:
        """The places (R,) of the clips whose best point is not broken: `broken` is at most 0.

        All of them, when there is no such loss.
        """
        if broken is None or self.best_logits is None:
            return torch.arange(len(self.labels), device=self.labels.device)
        return torch.nonzero(broken(self.best_logits, self.labels) <= 0)[:, 0]

    def result(self) -> Batch:
        """The batch with the attacked modalities replaced; the others are the same objects."""
        return {**self.batch, **self.best}


def _finite(gradient: Tensor) -> Tensor:
    """Zero the elements that are not finite; a sum over all tells cheaply that there are none."""
    if bool(torch.isfinite(gradient.sum())):
        return gradient
    return gradient.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
