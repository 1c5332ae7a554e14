"""Attacks that climb a second term beside the loss: what they do to features on the way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmlib.attacks.core.losses import Loss, of_rows, resolve
from mmlib.attacks.core.search import Search, Start
from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.pgd import follow, lengths
from mmlib.batch import Batch

Featured = Callable[[Batch], tuple[Mapping[str, Tensor], Tensor]]
"""A model that shows features: a batch -> features by name, and logits (B, K), in one pass."""

Term = Callable[[Mapping[str, Tensor]], Tensor]
"""What is raised beside the loss: features by name -> a number a clip, (B,)."""


def guided(
    featured: Featured,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    term: Term,
    weight: float = 1.0,
    steps: int = 20,
    step_size: float | None = None,
    momentum: float = 0.0,
    restarts: int = 1,
    loss: str | Loss | None = "bce",
    seeds: Sequence[int] | int = 0,
    start: Start = None,
) -> Batch:
    """Climb `loss` + `weight` · `term` by the steps of `pgd`; give each clip's point of most loss.

    So the term is a means: a path that it leads astray costs nothing but its steps, and the result
    competes with other attacks as any does. Without a loss (None) the term alone is climbed, or
    descended where `weight` is below 0, and each clip gets the point where it went furthest.
    Returns a new batch; the other settings are those of `pgd`.

    >>> import torch
    >>> from mmlib.attacks import Budget, guided
    >>> shown = lambda batch: ({"first": batch["x"][:, 0]}, batch["x"])
    >>> batch, labels = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([0])
    >>> found = guided(shown, batch, labels, {"x": Budget(0.1)}, loss=None,
    ...     term=lambda features: features["first"])
    >>> found["x"][:, 0]
    tensor([0.7000])
    """
    judged = None if loss is None else resolve(loss)

    def outputs(inputs: Batch) -> Tensor:
        features, logits = featured(inputs)
        return torch.cat([logits, term(features)[:, None].to(logits.dtype)], 1)

    kept = _Sum(judged, weight if judged is None else 0.0)
    search = Search(outputs, batch, labels, threat, kept, seeds, aim=_Sum(judged, weight))
    path = lengths(steps, step_size)
    follow(search, start, path, restarts=restarts, momentum=momentum)
    return search.result()


@dataclass(frozen=True)
class _Sum:
    """The loss of the first K columns plus `weight` times the last one, which is the term."""

    loss: Loss | None
    weight: float

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        logits, term = outputs[:, :-1], outputs[:, -1]
        if self.loss is None:
            return self.weight * term
        # Class indices have become one-hot over all columns, the term's among them.
        found = self.loss(logits, labels[:, : logits.shape[1]])
        return found + self.weight * term if self.weight else found

    def rows(self, index: Tensor) -> "_Sum":
        return _Sum(of_rows(self.loss, index), self.weight)
