"""Momentum iterative method (Dong et al. 2018), projected around the clean point."""

from collections.abc import Sequence

from torch import Tensor

from mmlib.attacks.core.losses import Loss
from mmlib.attacks.core.search import Search, Start
from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.pgd import climb
from mmlib.batch import Batch, Forward


def mim(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    steps: int = 20,
    step_size: float = 1.0,
    decay: float = 1.0,
    loss: str | Loss = "bce",
    seeds: Sequence[int] | int = 0,
    start: Start = None,
) -> Batch:
    """Climb along a running sum of gradients, each scaled to mean absolute value 1.

    `step_size` is in multiples of eps / steps, `decay` is the share of the sum that each step
    keeps. Begins at the best of `start`, else at the clean point: nothing is random. The projection
    is around the clean point (Tian & Xu project around the iterate, which leaves the ball). Returns
    a new batch with the best point of the path.

    >>> import torch
    >>> from mmlib.attacks import Budget, mim
    >>> model = lambda batch: batch["x"] @ torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    >>> batch, labels = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([0])
    >>> mim(model, batch, labels, {"x": Budget(0.1)}, steps=5)["x"]
    tensor([[0.5000, 0.5000]])
    """
    search = Search(model, batch, labels, threat, loss, seeds)
    points = search.clean if start is None else search.begin(start)
    climb(search, points, [step_size / steps] * steps, momentum=decay)
    return search.result()
