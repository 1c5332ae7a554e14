"""The smallest perturbation that breaks each clip: its robustness radius, found by bisection."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmlib.attacks.core.losses import (
    Loss,
    of_rows,
    resolve,
)
from mmlib.attacks.core.search import Search
from mmlib.attacks.core.threat import (
    Threat,
    clip_seeds,
    rows,
    scaled,
)
from mmlib.attacks.methods.pgd import pgd
from mmlib.batch import Batch, Forward

_HALVINGS = 6
"""Halvings of the way back to the clean point; the bisection refines what they leave."""


class Radii(NamedTuple):
    """For each clip the batch at its radius, and the radius (B,) float64.

    The radius is in multiples of the threat's budgets: all modalities share the factor. 0: broken
    already; inf: never broken, and the clip is left clean. A radius found by an attack is an upper
    bound on the true one.
    """

    batch: Batch
    radius: Tensor


def minimal(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    attack: Callable[..., Batch] = pgd,
    criterion: str | Loss = "top",
    tolerance: float = 0.01,
    rounds: int = 20,
    loss: str | Loss = "top",
    seeds: Sequence[int] | int = 0,
    **settings: Any,
) -> Batch:
    """Give each clip at its smallest perturbation that breaks it: see `minimal_radius`.

    >>> import torch
    >>> from mmlib.attacks import Budget, minimal
    >>> model = lambda batch: batch["x"] @ torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    >>> batch, labels = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([0])
    >>> minimal(model, batch, labels, {"x": Budget(0.2)})["x"].round(decimals=2)
    tensor([[0.5000, 0.5000]])
    """
    return minimal_radius(
        model,
        batch,
        labels,
        threat,
        attack=attack,
        criterion=criterion,
        tolerance=tolerance,
        rounds=rounds,
        loss=loss,
        seeds=seeds,
        **settings,
    ).batch


def minimal_radius(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    attack: Callable[..., Batch] = pgd,
    criterion: str | Loss = "top",
    tolerance: float = 0.01,
    rounds: int = 20,
    loss: str | Loss = "top",
    seeds: Sequence[int] | int = 0,
    **settings: Any,
) -> Radii:
    """Bisect each clip's radius between 0 and the threat's budgets.

    A clip is broken when `criterion` (a loss) is above 0. Each round attacks the clips that are
    still open at the middle of their brackets, from their best point so far, shrunk to the new
    radius; a point that breaks the clip is walked back towards the clean one as far as it stays
    broken. Ends when every bracket is narrower than `tolerance` of its upper end, or after
    `rounds`. The radii of all clips together are the whole security curve. `settings` go to the
    attack (steps, restarts, ...).

    >>> import torch
    >>> from mmlib.attacks import Budget, minimal_radius
    >>> model = lambda batch: batch["x"] @ torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    >>> batch, labels = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([0])
    >>> found = minimal_radius(model, batch, labels, {"x": Budget(0.2)})
    >>> found.radius.round(decimals=2)  # half of the budget
    tensor([0.5000], dtype=torch.float64)
    """
    state = _Bisection(model, batch, labels, threat, resolve(criterion), seeds)
    for _ in range(rounds):
        open_rows = state.open_rows(tolerance)
        if not len(open_rows):
            break
        state.attack_at(open_rows, attack, {"loss": loss, **settings})
    return Radii({**batch, **state.points}, state.upper)


class _Bisection:
    """Brackets [lower, upper] of every clip's radius, and the point that broke it at `upper`."""

    def __init__(
        self,
        model: Forward,
        batch: Batch,
        labels: Tensor,
        threat: Threat,
        criterion: Loss,
        seeds: Sequence[int] | int,
    ) -> None:
        self.model, self.batch, self.labels, self.threat = model, batch, labels, threat
        self.criterion = criterion
        self.seeds = clip_seeds(seeds, len(labels))
        self.search = Search(model, batch, labels, threat, criterion)
        self.points = self.search.clean
        broken = self.search.losses(self.points) > 0
        self.lower = torch.zeros(len(labels), dtype=torch.float64, device=labels.device)
        self.upper = torch.where(broken, 0.0, torch.full_like(self.lower, torch.inf))
        self.tried = torch.zeros_like(broken)

    def open_rows(self, tolerance: float) -> Tensor:
        """The clips to go on with: not tried at the full budget yet, or of a wide bracket."""
        wide = torch.isfinite(self.upper) & (self.upper - self.lower > tolerance * self.upper)
        untried = ~self.tried & torch.isinf(self.upper)
        return torch.nonzero(wide | untried)[:, 0]

    def attack_at(
        self, chosen: Tensor, attack: Callable[..., Batch], settings: dict[str, Any]
    ) -> None:
        """Attack the chosen clips at the middle of their brackets (first: at the full budget)."""
        upper = self.upper[chosen]
        factor = torch.where(torch.isinf(upper), 1.0, (self.lower[chosen] + upper) / 2)
        part = {name: tensor[chosen] for name, tensor in self.batch.items()}
        ratio = torch.where(torch.isinf(upper), 0.0, factor / upper)
        start = {
            name: region.clean[chosen]
            + (self.points[name] - region.clean)[chosen] * _column(ratio, region.clean)
            for name, region in self.search.regions.items()
        }
        found = attack(
            self.model,
            part,
            self.labels[chosen],
            scaled(rows(self.threat, chosen), factor),
            seeds=[self.seeds[row] for row in chosen.tolist()],
            start=start,
            **{**settings, "loss": of_rows(settings["loss"], chosen)},
        )
        points = {
            name: region.clean.index_copy(0, chosen, found[name])
            for name, region in self.search.regions.items()
        }
        attacked = torch.zeros_like(self.tried).index_fill(0, chosen, True)
        broken = attacked & (self.search.losses(points) > 0)
        middle = torch.zeros_like(self.lower).index_copy(0, chosen, factor)
        self.lower = torch.where(attacked & ~broken, middle, self.lower)
        self.tried |= attacked
        if bool(broken.any()):
            self._take(broken, points)

    def _take(self, broken: Tensor, points: dict[str, Tensor]) -> None:
        """Walk the points that broke their clips back, and lower the brackets to them."""
        near, far = torch.zeros_like(self.upper), torch.ones_like(self.upper)
        for _ in range(_HALVINGS):
            middle = (near + far) / 2
            still = self.search.losses(self._towards_clean(points, middle)) > 0
            near, far = torch.where(still, near, middle), torch.where(still, middle, far)
        points = self._towards_clean(points, far)
        size = torch.stack(
            [
                region.size(points[name]) / region.eps.clamp_min(1e-300)
                for name, region in self.search.regions.items()
            ]
        ).amax(0)
        taken = broken & (size < self.upper)
        self.points = self.search.merge(taken, points, self.points)
        self.upper = torch.where(taken, size, self.upper)
        # A smaller radius that an earlier, weaker attempt gave up on is open again.
        self.lower = torch.where(self.lower >= self.upper, 0.9 * self.upper, self.lower)

    def _towards_clean(self, points: dict[str, Tensor], share: Tensor) -> dict[str, Tensor]:
        moved = {
            name: region.clean + region.column(share).float() * (points[name] - region.clean)
            for name, region in self.search.regions.items()
        }
        unmoved = share == 1
        return self.search.merge(unmoved, points, self.search.project(moved))


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.float().view(-1, *[1] * (like.dim() - 1))
