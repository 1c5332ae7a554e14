"""Auto-PGD: step sizes that fall when the loss stops rising (Croce & Hein 2020, 2021)."""

from collections.abc import Sequence
from math import ceil

import torch
from torch import Tensor

from mmlib.attacks.core.losses import (
    Loss,
    of_rows,
    resolve,
)
from mmlib.attacks.core.search import Points, Search, Start
from mmlib.attacks.core.threat import Threat
from mmlib.batch import Batch, Forward

_MOMENTUM = 0.75
_RISING_SHARE = 0.75
"""A step size is kept while the loss rose in at least this share of the last steps."""
_SPARSITY_FALL = 1.5
"""l1: how much sparser each step is than the best point (Croce & Hein 2021, section 4)."""


def apgd(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    steps: int = 100,
    restarts: int = 1,
    loss: str | Loss = "bce",
    seeds: Sequence[int] | int = 0,
    start: Start = None,
    broken: str | Loss | None = None,
) -> Batch:
    """Maximise each clip's loss with a step size of its own that needs no tuning.

    A path begins with steps of 2 eps (l1: eps) and momentum. At checkpoints ever closer together, a
    clip whose loss no longer rises goes back to its best point with half the step. A threat that
    holds an l1 budget takes the l1 schedule: no momentum, and steps that grow sparser with the best
    point. One step size serves all modalities of a clip, in multiples of their radii. Returns a new
    batch with the best point of all paths; the first begins at the best of `start`, if given.
    `broken` as for `pgd`.

    >>> import torch
    >>> from mmlib.attacks import Budget, apgd
    >>> model = lambda batch: batch["x"] @ torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    >>> batch, labels = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([0])
    >>> apgd(model, batch, labels, {"x": Budget(0.1)}, steps=5)["x"]
    tensor([[0.5000, 0.5000]])
    """
    search = Search(model, batch, labels, threat, loss, seeds)
    begun, criterion = search.begin(start), None if broken is None else resolve(broken)
    for restart in range(restarts):
        warm = restart == 0 and start is not None
        points = begun if warm else search.random("restart", restart)
        _Path(search, points).climb(steps, criterion)
    return search.result()


class _Path:
    """One restart: the current point, the path's best one with its gradient, and the steps."""

    def __init__(self, search: Search, points: Points) -> None:
        self.search, self.points, self.previous = search, points, points
        self.sparse = any(region.norm == "l1" for region in search.regions.values())
        self.losses, self.gradients = search.gradients(points)
        self.best, self.best_losses, self.best_gradients = points, self.losses, self.gradients
        clips = len(self.losses)
        self.length = torch.full((clips,), 1.0 if self.sparse else 2.0, device=self.losses.device)
        self.rises = torch.zeros_like(self.length)
        self.best_at_checkpoint = self.losses
        self.shortened = torch.ones_like(self.length, dtype=torch.bool)
        self.share = {name: torch.full_like(self.length, 0.2) for name in points}
        self.moved = torch.full_like(self.length, torch.inf)

    def climb(self, steps: int, broken: Loss | None) -> None:
        """Take `steps` steps, each one forward and one backward pass.

        Clips leave once `broken` is above 0 for their best point.
        """
        whole, places = self.search, torch.arange(len(self.losses), device=self.losses.device)
        turns = _l1_turns(steps) if self.sparse else checkpoints(steps)
        last = 0
        for step in range(1, steps):
            left = self.search.unbroken(broken)
            if len(left) < len(self.losses):
                places, broken = places[left], of_rows(broken, left)
                self._keep(left)
                if not len(left):
                    return
            self._step(first=step == 1)
            if step in turns:
                self._thin_out() if self.sparse else self._shorten(step - last)
                last = step
            if self.search is not whole:
                whole.adopt(places, self.search)
        if steps:
            self.search.losses(self._next(first=steps == 1))
        if any(region.norm != "linf" for region in self.search.regions.values()):
            self.search.losses(self.search.vertex(self.best_gradients))
        if self.search is not whole:
            whole.adopt(places, self.search)

    def _keep(self, left: Tensor) -> None:
        """Go on with the clips at `left` (R,) alone."""
        for name, value in vars(self).items():
            if isinstance(value, Search):
                setattr(self, name, value.rows(left))
            elif isinstance(value, Tensor):
                setattr(self, name, value[left])
            elif isinstance(value, dict):
                setattr(self, name, {key: tensor[left] for key, tensor in value.items()})

    def _next(self, first: bool) -> Points:
        regions = self.search.regions
        ahead = {
            name: regions[name].ascend(point, self.gradients[name], self.length, self.share[name])
            for name, point in self.points.items()
        }
        if first or self.sparse:
            return ahead
        return self.search.project(
            {
                name: point
                + _MOMENTUM * (ahead[name] - point)
                + (1 - _MOMENTUM) * (point - self.previous[name])
                for name, point in self.points.items()
            }
        )

    def _step(self, first: bool) -> None:
        following = self._next(first)
        self.previous, self.points = self.points, following
        losses, self.gradients = self.search.gradients(following)
        self.rises += losses > _noticeably_above(self.losses)
        self.losses = losses
        better = losses > self.best_losses
        self.best = self.search.merge(better, following, self.best)
        self.best_gradients = self.search.merge(better, self.gradients, self.best_gradients)
        self.best_losses = torch.where(better, losses, self.best_losses)

    def _shorten(self, interval: int) -> None:
        """linf and l2: halve the steps of clips that rose too seldom, or whose best is stuck."""
        seldom = self.rises < _RISING_SHARE * interval
        stuck = ~self.shortened & (self.best_losses <= _noticeably_above(self.best_at_checkpoint))
        self.shortened = seldom | stuck
        self.length = torch.where(self.shortened, self.length / 2, self.length)
        self._go_back(self.shortened)
        self.best_at_checkpoint = self.best_losses
        self.rises = torch.zeros_like(self.rises)

    def _thin_out(self) -> None:
        """l1: move fewer elements than the best point has moved; restart where that fell."""
        moved = torch.zeros_like(self.moved)
        for name, region in self.search.regions.items():
            count = (self.best[name] != region.clean).flatten(1).sum(1)
            self.share[name] = count / region.clean[0].numel() / _SPARSITY_FALL
            moved += count
        sparser = moved < 0.95 * self.moved
        self.length = torch.where(sparser, 1.0, (self.length / _SPARSITY_FALL).clamp_min(0.1))
        self._go_back(sparser)
        self.moved = moved

    def _go_back(self, chosen: Tensor) -> None:
        self.points = self.search.merge(chosen, self.best, self.points)
        self.previous = self.search.merge(chosen, self.best, self.previous)
        self.gradients = self.search.merge(chosen, self.best_gradients, self.gradients)
        self.losses = torch.where(chosen, self.best_losses, self.losses)


def _noticeably_above(losses: Tensor) -> Tensor:
    # A rise by a rounding error must not decide a step size: it depends on the batch's size.
    return losses + 1e-6 * losses.abs()


def checkpoints(steps: int) -> set[int]:
    """The steps after which step sizes are reviewed: shares 0, 0.22, 0.41, ... of all steps."""
    before, at = 0.0, 0.22
    turns = []
    while at <= 1:
        turns.append(ceil(at * steps))
        before, at = at, at + max(at - before - 0.03, 0.06)
    return set(turns)


def _l1_turns(steps: int) -> set[int]:
    return set(range(0, steps + 1, max(1, round(0.04 * steps))))
