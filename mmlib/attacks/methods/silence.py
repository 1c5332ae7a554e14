"""Starts for clips whose loss has no gradient, such as digital silence behind a log-mel's floor.

Below the floor the log-mel is constant: a path that begins at the clean clip would leave silence
untouched for ever. Noise of the full radius lifts it over the floor, and the gradient is there.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmlib.attacks.core.losses import Loss
from mmlib.attacks.core.search import Points, Search
from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.noise import on_sphere
from mmlib.attacks.methods.pgd import pgd
from mmlib.batch import Batch, Forward


def raised(search: Search, points: Points) -> Points:
    """The points, with random noise of the full radius added where their gradient is zero.

    Costs one forward and backward pass, which also evaluates the points. The noise of a clip
    follows from its seed; points whose gradient is nowhere zero come back as they are.
    """
    _, gradients = search.gradients(points)
    dead = {name: gradient == 0 for name, gradient in gradients.items()}
    if not any(bool(part.any()) for part in dead.values()):
        return points
    noisy = on_sphere(search)
    return search.project(
        {name: torch.where(dead[name], noisy[name], point) for name, point in points.items()}
    )


def pgd_raised(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    start: Points,
    loss: str | Loss,
    seeds: Sequence[int] | int = 0,
    **settings: Any,
) -> Batch:
    """PGD from `start` with its silence raised: see `raised` and `pgd`."""
    search = Search(model, batch, labels, threat, loss, seeds)
    begin = raised(search, search.project(start))
    return pgd(model, batch, labels, threat, start=begin, loss=loss, seeds=seeds, **settings)
