"""Attacks that climb a second term beside the loss: what they do to features on the way.

The weight of the term is its pull at the start as a share of the loss's: by how much each could
rise within the budgets if it were linear. So no unit of either matters. The two gradients that this
takes are the first two of an attack's steps. Clips whose term has no gradient there climb the loss
alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import copysign

import torch
from torch import Tensor

from mmlib.attacks.core.losses import Loss, of_rows, resolve
from mmlib.attacks.core.search import Points, Search, Start
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
    """Climb the loss and `term` together by the steps of `pgd`; give each clip its point of most
    loss.

    So the term is a means: a path that it leads astray costs nothing but its steps, and the result
    competes with other attacks as any does. `weight` is its pull beside the loss's (see the
    module); below 0 the term is lowered. Without a loss (None) the term alone is raised, or lowered
    where `weight` is below 0, and each clip gets the point where it went furthest. Returns a new
    batch; the other settings are those of `pgd`.

    >>> import torch
    >>> from mmlib.attacks import Budget, guided
    >>> shown = lambda batch: ({"first": batch["x"][:, 0]}, batch["x"])
    >>> batch, labels = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([0])
    >>> found = guided(shown, batch, labels, {"x": Budget(0.1)}, loss=None,
    ...     term=lambda features: features["first"])
    >>> found["x"][:, 0]
    tensor([0.7000])
    """

    def outputs(inputs: Batch) -> Tensor:
        features, logits = featured(inputs)
        return torch.cat([logits, term(features)[:, None].to(logits.dtype)], 1)

    direction = torch.full((len(labels),), copysign(1.0, weight), device=labels.device)
    alone = _Sum(None, direction)
    kept = alone if loss is None else _Sum(resolve(loss), None)
    search = Search(outputs, batch, labels, threat, kept, seeds)
    if loss is not None and weight:
        ratio, steps = _ratio(search, kept, alone, search.begin(start)), max(1, steps - 2)
        search.aim = resolve(_Sum(kept.loss, weight * ratio))
    path = lengths(steps, step_size)
    follow(search, start, path, restarts=restarts, momentum=momentum)
    return search.result()


def _ratio(search: Search, loss: Loss, term: Loss, points: Points) -> Tensor:
    """How often the term's pull at the points goes into the loss's, (B,); 0 without a pull."""
    pulls = _pull(search, loss, points), _pull(search, term, points)
    return torch.where(pulls[1] > 0, pulls[0] / pulls[1], 0.0)


def _pull(search: Search, aim: Loss, points: Points) -> Tensor:
    """By how much an aim could rise from the points within the budgets, were it linear, (B,)."""
    search.aim = resolve(aim)
    _, gradients = search.gradients(points)
    corner = search.vertex(gradients)
    found = [
        ((corner[name] - search.clean[name]) * gradient).flatten(1).sum(1)
        for name, gradient in gradients.items()
    ]
    return torch.stack(found).sum(0)


@dataclass(frozen=True)
class _Sum:
    """The loss of the first K columns, and `weight` (B,) times the last one, which is the term."""

    loss: Loss | None
    weight: Tensor | None

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        logits, term = outputs[:, :-1], outputs[:, -1]
        # Class indices have become one-hot over all columns, the term's among them.
        found = 0 * term if self.loss is None else self.loss(logits, labels[:, : logits.shape[1]])
        return found if self.weight is None else found + self.weight * term

    def rows(self, index: Tensor) -> "_Sum":
        weight = None if self.weight is None else self.weight[index]
        return _Sum(of_rows(self.loss, index), weight)
