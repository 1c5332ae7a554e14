"""Random noise of the same norm as an attack: the floor that every attack must beat."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmlib.attacks.core.losses import Loss
from mmlib.attacks.core.region import (
    ORDERS,
    Region,
    unit_ball,
)
from mmlib.attacks.core.search import Points, Search
from mmlib.attacks.core.threat import Threat
from mmlib.batch import Batch, Forward
from mmlib.runtime.seeds import derive


def noise(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    draws: int = 3,
    loss: str | Loss = "bce",
    seeds: Sequence[int] | int = 0,
) -> Batch:
    """Add noise of the full radius: of several draws, the one of median loss for each clip.

    linf: every element moves by eps up or down with equal chance, the noise of largest norm that
    knows nothing of the clip; l2: uniform on the sphere; l1: uniform on the l1 sphere; the box
    clips what leaves it. The median draw [choice] is the typical one: the worst of many would be a
    random search, an attack, and scores averaged over draws would be those of a smoothed model,
    which is better than the model itself.

    >>> import torch
    >>> from mmlib.attacks import Budget, noise
    >>> model = lambda batch: batch["x"] @ torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    >>> batch, labels = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([0])
    >>> noisy = noise(model, batch, labels, {"x": Budget(0.1)}, seeds=[7])["x"]
    >>> (noisy - batch["x"]).abs()
    tensor([[0.1000, 0.1000]])
    """
    search = Search(model, batch, labels, threat, loss, seeds)
    drawn = [on_sphere(search, draw) for draw in range(draws)]
    losses = torch.stack([search.losses(points) for points in drawn])
    median = losses.argsort(dim=0, stable=True)[(draws - 1) // 2]
    chosen = drawn[0]
    for draw in range(1, draws):
        chosen = search.merge(median == draw, drawn[draw], chosen)
    return {**batch, **chosen}


def on_sphere(search: Search, draw: int = 0) -> Points:
    """The noise of one draw for every clip of a search, not evaluated."""
    seeds = [derive(seed, "noise", draw, draw=True) for seed in search.seeds]
    return {name: _on_sphere(region, seeds, name) for name, region in search.regions.items()}


def _on_sphere(region: Region, seeds: Sequence[int], name: str) -> Tensor:
    shape = region.clean.shape[1:]
    directions = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(derive(seed, name, draw=True))
        if region.norm == "linf":
            directions.append(torch.randint(0, 2, shape, generator=generator) * 2.0 - 1)
        else:
            point = unit_ball(shape, region.norm, generator)
            directions.append(point / torch.linalg.vector_norm(point, ORDERS[region.norm]))
    direction = torch.stack(directions).to(region.clean.device)
    reach = region.column(region.eps).to(direction.dtype)
    return region.project(region.clean + reach * direction)
