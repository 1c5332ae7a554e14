"""One perturbation for all clips, projected after every update."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmlib.attacks.core.losses import (
    Loss,
    resolve,
)
from mmlib.attacks.core.region import Region
from mmlib.attacks.core.search import Points, Search
from mmlib.attacks.core.threat import (
    Budget,
    Threat,
)
from mmlib.batch import Batch, Forward
from mmlib.runtime.errors import UserError

Labelled = tuple[Batch, Tensor]
"""Inputs and their labels."""


def universal(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    fit_on: Sequence[Labelled],
    steps: int = 20,
    step_size: float = 2.5,
    loss: str | Loss = "bce",
    seeds: Sequence[int] | int = 0,
) -> Batch:
    """Play to `batch` the one perturbation that `fit` finds on the clips of `fit_on`.

    They should be other clips than those of `batch`: fitted on what it is scored on, a universal
    perturbation looks better than it is. `labels` and `seeds` are not used: the attacker knows
    neither. Returns a new batch.

    >>> import torch
    >>> from mmlib.attacks import Budget, universal
    >>> model = lambda batch: batch["x"] @ torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    >>> batch, labels = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([0])
    >>> others = [({"x": torch.tensor([[0.9, 0.3], [0.7, 0.5]])}, torch.tensor([0, 0]))]
    >>> universal(model, batch, labels, {"x": Budget(0.1)}, fit_on=others)["x"]
    tensor([[0.5000, 0.5000]])
    """
    delta = fit(model, fit_on, threat, steps=steps, step_size=step_size, loss=loss)
    return play(batch, delta, threat)


def fit(
    model: Forward,
    clips: Sequence[Labelled],
    threat: Threat,
    *,
    steps: int = 20,
    step_size: float = 2.5,
    loss: str | Loss = "bce",
) -> dict[str, Tensor]:
    """Find the perturbation, modality -> shape of one clip, that raises the summed loss most.

    Each of `steps` steps passes over all `clips` (batches of inputs and labels), follows the norm's
    steepest direction of the summed gradient by `step_size` eps / steps, and projects onto the
    ball; the best perturbation of the path is kept. Nothing is random.
    """
    if not clips:
        raise UserError("a universal perturbation needs clips to be fitted on")
    balls = {name: _ball(name, clips[0][0][name], budget) for name, budget in threat.items()}
    resolved = resolve(loss)
    delta: Points = {name: ball.clean for name, ball in balls.items()}
    best, best_loss = delta, -torch.inf
    for step in range(steps + 1):
        total, gradients = 0.0, {name: torch.zeros_like(value) for name, value in delta.items()}
        for batch, labels in clips:
            raised, slopes = _slopes(model, batch, labels, threat, resolved, delta)
            total += raised
            gradients = {name: gradients[name] + slope for name, slope in slopes.items()}
        if total > best_loss:
            best, best_loss = delta, total
        if step < steps:
            delta = {
                name: ball.ascend(delta[name], gradients[name], step_size / steps)
                for name, ball in balls.items()
            }
    return {name: value[0] for name, value in best.items()}


def play(batch: Batch, delta: Mapping[str, Tensor], threat: Threat) -> Batch:
    """Add a perturbation to every clip, within each clip's budget and box."""
    played = dict(batch)
    for name, budget in threat.items():
        region = Region(batch[name], budget, batch.get(f"{name}_present"), name)
        played[name] = region.project(region.clean + delta[name])
    return played


def _ball(name: str, clean: Tensor, budget: Budget) -> Region:
    """The ball of the perturbation itself, around zero; its box is what any clip could take."""
    width = budget.high - budget.low
    if isinstance(budget.eps, Tensor):
        raise UserError("a universal perturbation has one radius, not one a clip")
    around = Budget(budget.eps, budget.norm, low=-width, high=width)
    return Region(torch.zeros_like(clean[:1]), around, None, name)


def _slopes(
    model: Forward, batch: Batch, labels: Tensor, threat: Threat, loss: Loss, delta: Points
) -> tuple[float, Points]:
    """The loss summed over a batch, and its gradient for the perturbation, (1, ...) a modality."""
    search = Search(model, batch, labels, threat, loss)
    points = play(batch, {name: value[0] for name, value in delta.items()}, threat)
    losses, gradients = search.gradients({name: points[name] for name in threat})
    slopes = {}
    for name, region in search.regions.items():
        wanted = region.clean + delta[name]
        low, high = threat[name].low, threat[name].high
        # Where the box clips the sum, and in clips without the modality, delta has no effect.
        felt = (wanted >= low) & (wanted <= high) & region.column(region.eps > 0)
        slopes[name] = (gradients[name] * felt).sum(0, keepdim=True)
    return float(losses.sum()), slopes
