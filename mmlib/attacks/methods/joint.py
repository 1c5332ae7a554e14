"""One budget shared by two modalities: the attacker of both gets no more than that of one.

Beside the paper's comparison, in which the A+V attacker has a budget for each modality.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import pi
from typing import Any

import torch
from torch import Tensor

from mmlib.attacks.core.losses import Loss
from mmlib.attacks.core.search import (
    Points,
    Search,
    Start,
)
from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.pgd import pgd
from mmlib.batch import Batch, Forward
from mmlib.runtime.errors import UserError


def shared(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    attack: Callable[..., Batch] = pgd,
    splits: int = 5,
    refinements: int = 2,
    last_steps: int = 0,
    loss: str | Loss = "bce",
    seeds: Sequence[int] | int = 0,
    start: Start = None,
    **settings: Any,
) -> Batch:
    """Let each clip spend one budget on two modalities, split as hurts it most.

    `threat` holds what each modality could spend alone; the shares that the two spend of it add up
    to at most 1 (l2: the squares do). The attack runs at `splits` splits, from all on the first
    modality to all on the second, for l2 also at the split that the clean gradient suggests;
    `refinements` times, each clip then tries the splits half a step to either side of its best, and
    at the best of all it is attacked once more with `last_steps` steps (0: it is not).
    Runs after the first begin at the best point so far, or at that of `start`, projected onto the
    split's budgets, which is stronger. `settings` go to the attack. Returns a new batch.

    >>> import torch
    >>> from mmlib.attacks import Budget, shared
    >>> model = lambda batch: torch.cat([-batch["a"], batch["a"] + 3 * batch["v"]], 1)
    >>> batch = {"a": torch.tensor([[0.5]]), "v": torch.tensor([[0.5]])}
    >>> threat = {"a": Budget(0.2), "v": Budget(0.2)}
    >>> found = shared(model, batch, torch.tensor([0]), threat)  # "v" is worth more
    >>> found["a"], found["v"]
    (tensor([[0.5000]]), tensor([[0.7000]]))
    """
    pair = _pair(threat)
    search = Search(model, batch, labels, threat, loss, seeds)
    _, gradients = search.gradients(search.clean)
    starts = [start] if isinstance(start, Mapping) else list(start or [])
    run = partial(attack, model, batch, labels, loss=loss, seeds=seeds, **settings)
    tried = partial(_tried, search=search, threat=threat, pair=pair, starts=starts, run=run)
    suggested = _suggested(search, gradients, pair) if threat[pair[0]].norm == "l2" else None
    best = _best_split(tried, torch.zeros_like(search.best_losses), splits, refinements, suggested)
    if last_steps:
        tried(best, best, run=partial(run, steps=last_steps))
    return search.result()


def _best_split(
    tried: Callable[[Tensor, Tensor], Tensor],
    first: Tensor,
    splits: int,
    refinements: int,
    suggested: Tensor | None,
) -> Tensor:
    """The split (B,) that hurts each clip most, by `tried`: on a grid, then around the best."""
    best = first.double()
    for split in torch.linspace(0, 1, splits, dtype=torch.float64).tolist():
        best = tried(torch.full_like(best, split), best)
    if suggested is not None:
        best = tried(suggested, best)
    for refinement in range(1, refinements + 1):
        middle, step = best, 2.0**-refinement / max(1, splits - 1)
        for nearby in ((middle - step).clamp_min(0), (middle + step).clamp_max(1)):
            best = tried(nearby, best)
    return best


def _tried(
    split: Tensor,
    best: Tensor,
    search: Search,
    threat: Threat,
    pair: tuple[str, str],
    starts: Sequence[Mapping[str, Tensor]],
    run: Callable[..., Batch],
) -> Tensor:
    """Attack at a split (B,) of the budget; return the best split so far of each clip."""
    radii = dict(zip(pair, shares(split, threat[pair[0]].norm), strict=True))
    before = search.best_losses
    cut = {name: budget.scaled(radii[name]) for name, budget in threat.items()}
    found = run(cut, start=[search.best, *starts])
    search.losses({name: found[name] for name in threat})
    return torch.where(search.best_losses > before, split, best)


def _suggested(search: Search, gradients: Points, pair: tuple[str, str]) -> Tensor:
    """The split that the clean gradient suggests for l2, (B,)."""
    corner = search.vertex(gradients)
    first, second = (
        ((corner[name] - search.clean[name]) * gradients[name]).flatten(1).sum(1).double()
        for name in pair
    )
    return torch.atan2(second, first) / (pi / 2)


def shares(split: Tensor, norm: str) -> tuple[Tensor, Tensor]:
    """The share of its own budget that each modality gets at a split in [0, 1].

    l2: cos and sin of split · 90°, so that the concatenated, scaled perturbation has norm 1; linf
    and l1: 1 - split and split, so that the parts add up to 1.
    """
    if norm == "l2":
        return torch.cos(split * pi / 2), torch.sin(split * pi / 2)
    return 1 - split, split


def _pair(threat: Threat) -> tuple[str, str]:
    norms = {budget.norm for budget in threat.values()}
    if len(threat) != 2 or len(norms) != 1:
        raise UserError(
            "a shared budget is for two modalities in one norm, not for "
            + (", ".join(f"{name} in {budget.norm}" for name, budget in threat.items()) or "none")
        )
    first, second = threat
    return first, second
