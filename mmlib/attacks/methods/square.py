"""Square attack (Andriushchenko et al. 2020): random search that sees scores and no gradient.

Where it beats a gradient attack, the model masks its gradients. The linf proposals are the paper's,
extended from pictures to blocks of video and to spectrograms; those for l2 and l1 are simpler than
the paper's [choice].
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from mmlib.attacks.core.losses import Loss
from mmlib.attacks.core.region import Region
from mmlib.attacks.core.search import Points, Search, Start
from mmlib.attacks.core.threat import Threat
from mmlib.batch import Batch, Forward
from mmlib.runtime.seeds import derive

_SHRINK_AT = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Shares of all queries after which a block's share of the clip is halved (as the paper's code)."""
_AHEAD = 1024
_GROW, _FALL = 1.5, 1.5 ** (-1 / 9)
"""l2: the step grows on success and falls on failure, in balance at one success in ten."""


def square(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    queries: int = 1000,
    block_share: float = 0.3,
    loss: str | Loss = "bce",
    seeds: Sequence[int] | int = 0,
    start: Start = None,
) -> Batch:
    """Change one random block of one modality at a time, and keep what raises the clip's loss.

    `queries` forward passes; blocks begin at `block_share` of a clip and shrink. linf: every
    channel of a block goes to the lower or upper bound, from striped noise on; l2: Gaussian steps
    of adaptive size within a block; l1: a part of the change moves from one element to another.
    Begins at the best of `start`, if given. Returns a new batch.

    >>> import torch
    >>> from mmlib.attacks import Budget, square
    >>> model = lambda batch: batch["x"] @ torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    >>> batch, labels = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([0])
    >>> square(model, batch, labels, {"x": Budget(0.1)}, queries=50)["x"]
    tensor([[0.5000, 0.5000]])
    """
    search = Search(model, batch, labels, threat, loss, seeds)
    search.begin(start)
    walks = [_Walk(search, name) for name in search.regions]
    if start is None:
        search.losses(
            {name: walk.begin() for name, walk in zip(search.regions, walks, strict=True)}
        )
    for query in range(1, queries):
        share = block_share * 0.5 ** sum(query > at * queries for at in _SHRINK_AT)
        turn = torch.stack([walk.uniform(1)[:, 0] for walk in walks]).argmax(0)
        points: Points = dict(search.best)
        for place, walk in enumerate(walks):
            points = search.merge(turn == place, points | walk.propose(share), points)
        before = search.best_losses
        risen = search.losses(points) > before
        for place, walk in enumerate(walks):
            walk.learn(turn == place, risen)
    return search.result()


class _Walk:
    """The proposals for one modality, from each clip's own stream of random numbers."""

    def __init__(self, search: Search, name: str) -> None:
        self.search, self.name = search, name
        self.region: Region = search.regions[name]
        self.shape = self.region.clean.shape[1:]
        self.grid = self.shape if len(self.shape) > 2 else torch.Size((1, *self.shape))
        self.device = self.region.clean.device
        self.ahead = torch.empty(len(search.seeds), 0, device=self.device)
        self.length = torch.ones(len(search.seeds), device=self.device)
        self.streams = [
            torch.Generator().manual_seed(derive(seed, "square", name)) for seed in search.seeds
        ]

    def uniform(self, count: int) -> Tensor:
        """Numbers in [0, 1), (B, count); drawn ahead, since a draw a clip and query is slow."""
        if self.ahead.shape[1] < count:
            drawn = [torch.rand(max(count, _AHEAD), generator=stream) for stream in self.streams]
            self.ahead = torch.stack(drawn).to(self.device)
        numbers, self.ahead = self.ahead[:, :count], self.ahead[:, count:]
        return numbers

    def begin(self) -> Tensor:
        """linf: stripes along the last axis at the bounds; else a random point of the region."""
        if self.region.norm != "linf":
            return self.region.random(self.search.seeds, f"{self.name} square")
        return self._bounds([self.grid[0], *[1] * (len(self.grid) - 2), self.grid[-1]])

    def propose(self, share: float) -> Points:
        """The best point with one block changed."""
        best = self.search.best[self.name]
        if self.region.norm == "l1":
            return {self.name: self.region.project(self._move_mass(best))}
        inside = self._block(share)
        if self.region.norm == "linf":
            bounds = self._bounds([self.grid[0], *[1] * (len(self.grid) - 1)])
            return {self.name: torch.where(inside, bounds, best)}
        drawn = [torch.randn(self.shape, generator=stream) for stream in self.streams]
        step = torch.stack(drawn).to(self.device) * inside
        size = torch.linalg.vector_norm(step.flatten(1), dim=1).clamp_min(1e-12)
        reach = self.length * self.region.eps.float() / size
        return {self.name: self.region.project(best + self.region.column(reach) * step)}

    def learn(self, mine: Tensor, risen: Tensor) -> None:
        """Adapt the step of the clips whose turn this modality had."""
        length = self.length * torch.where(risen, _GROW, _FALL)
        self.length = torch.where(mine, length, self.length).clamp(1e-6, 1.0)

    def _bounds(self, shape: Sequence[int]) -> Tensor:
        """Each element at its lower or upper bound, the signs drawn in `shape` and spread."""
        upwards = (self.uniform(prod(shape)) < 0.5).view(-1, *shape).expand(-1, *self.grid)
        upwards = upwards.reshape(-1, *self.shape)
        return torch.where(upwards, self.region.upper, self.region.lower)

    def _block(self, share: float) -> Tensor:
        """Elements of a random block, (B, ...) bool: all channels, `share` of the other axes."""
        sides = self.grid[1:]
        inside = torch.ones(1, *self.grid, dtype=torch.bool, device=self.device)
        places = self.uniform(len(sides))
        for axis, length in enumerate(sides):
            width = max(1, round(share ** (1 / len(sides)) * length))
            first = (places[:, axis] * (length - width + 1)).long()[:, None]
            at = torch.arange(length, device=self.device)
            along = (at >= first) & (at < first + width)
            ones = [1] * (len(sides) - axis - 1)
            inside = inside & along.view(-1, *[1] * (axis + 1), length, *ones)
        return inside.reshape(-1, *self.shape)

    def _move_mass(self, best: Tensor) -> Tensor:
        """l1: take from one changed element, give to another, up or down; both at random."""
        clean = self.region.clean.flatten(1)
        delta = best.flatten(1) - clean
        numbers = self.uniform(4)
        changed = delta != 0
        ranks = changed.cumsum(1)
        wanted = (numbers[:, :1] * ranks[:, -1:]).floor() + 1
        giver = (ranks == wanted).int().argmax(1, keepdim=True)
        taker = (numbers[:, 1:2] * delta.shape[1]).long()
        up = numbers[:, 2:3] < 0.5
        spent = delta.abs().sum(1, keepdim=True)
        spare = (self.region.eps.float()[:, None] - spent).clamp_min(0)
        held = delta.gather(1, giver)
        room = torch.where(
            up,
            self.region.room_above.gather(1, taker) - delta.gather(1, taker),
            delta.gather(1, taker) - self.region.room_below.gather(1, taker),
        )
        amount = torch.minimum(held.abs() + spare, room)
        amount = torch.where(numbers[:, 3:4] < 0.5, amount, amount * numbers[:, 3:4])
        given = torch.minimum((amount - spare).clamp_min(0), held.abs())
        delta = delta.scatter_add(1, giver, -given * held.sign())
        delta = delta.scatter_add(1, taker, torch.where(up, amount, -amount))
        return (clean + delta).view(best.shape)
