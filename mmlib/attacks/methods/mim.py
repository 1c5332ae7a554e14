"""Momentum iterative method (Dong et al. 2018), projected around the clean point."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmlib.attacks.losses import Loss
from mmlib.attacks.search import Model, Search, Start
from mmlib.attacks.threat import Threat
from mmlib.batch import Batch


def mim(
    model: Model,
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
    """
    search = Search(model, batch, labels, threat, loss, seeds)
    points = search.clean if start is None else search.begin(start)
    momentum = {name: torch.zeros_like(clean) for name, clean in search.clean.items()}
    for _ in range(steps):
        _, gradients = search.gradients(points)
        for name, gradient in gradients.items():
            size = gradient.abs().flatten(1).mean(1).clamp_min(1e-38)
            scaled = gradient / search.regions[name].column(size)
            momentum[name] = decay * momentum[name] + scaled
        points = search.ascend(points, momentum, step_size / steps)
    search.losses(points)
    if steps and any(region.norm != "linf" for region in search.regions.values()):
        search.losses(search.vertex(momentum))
    return search.result()
