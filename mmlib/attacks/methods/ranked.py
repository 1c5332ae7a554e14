"""An attack on the mean average precision of a set, all of whose clips it moves together."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.attacks.core.average_precision import SetPrecision, width_of_round
from mmlib.attacks.core.losses import Loss, multi_hot
from mmlib.attacks.core.search import Points, Search, Start
from mmlib.attacks.core.threat import Threat, clip_seeds, rows
from mmlib.attacks.methods.pgd import climb, lengths_of_round
from mmlib.batch import Batch, Forward


def ranked(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    rounds: int = 6,
    steps: int = 5,
    step_size: float = 1.0,
    momentum: float = 0.5,
    batch_size: int = 64,
    seeds: Sequence[int] | int = 0,
    start: Start = None,
) -> Batch:
    """Lower the mean average precision of the clips of `batch`, the whole set that is scored.

    In each round, every clip climbs `steps` steps of PGD against the others' logits as the round
    before left them, `batch_size` clips at a time; steps fall and ranks grow sharper over the
    rounds (`SetPrecision`). Begins at the best of `start`, by BCE. Returns a new batch.

    >>> import torch
    >>> from mmlib.attacks import Budget, ranked
    >>> model = lambda batch: batch["x"]
    >>> batch, labels = {"x": torch.tensor([[0.6], [0.5]])}, torch.tensor([[1.0], [0.0]])
    >>> ranked(model, batch, labels, {"x": Budget(0.1)})["x"]
    tensor([[0.5000],
            [0.6000]])
    """
    first = Search(model, batch, labels, threat, "bce", seeds)
    points = first.begin(start)
    assert first.best_logits is not None
    logits = first.best_logits
    truth = multi_hot(labels, logits.shape[1])
    clips = _Set(model, batch, labels, threat, clip_seeds(seeds, len(labels)))
    for number in range(rounds):
        width = width_of_round(number, rounds)
        path = lengths_of_round(number, rounds, steps, step_size)
        found: list[tuple[Points, Tensor]] = []
        for part in torch.split(torch.arange(len(labels), device=labels.device), batch_size):
            search = clips.search(part, SetPrecision(logits, truth, part, width))
            before = {name: value[part] for name, value in points.items()}
            found.append(_climbed(search, before, logits[part], path, momentum))
        points = {name: torch.cat([best[name] for best, _ in found]) for name in points}
        logits = torch.cat([scores for _, scores in found])
    return {**batch, **points}


def _climbed(
    search: Search, points: Points, logits: Tensor, path: Sequence[float], momentum: float
) -> tuple[Points, Tensor]:
    """The best points of a round that begins at `points`, and their logits."""
    search.offer(points, logits)
    climb(search, search.best, path, momentum=momentum)
    assert search.best_logits is not None
    return search.best, search.best_logits


class _Set(NamedTuple):
    """All the clips whose score is lowered, and within what budgets."""

    model: Forward
    batch: Batch
    labels: Tensor
    threat: Threat
    seeds: Sequence[int]

    def search(self, part: Tensor, loss: Loss) -> Search:
        """A search of the clips at the rows `part` alone."""
        return Search(
            self.model,
            {name: tensor[part] for name, tensor in self.batch.items()},
            self.labels[part],
            rows(self.threat, part),
            loss,
            [self.seeds[row] for row in part.tolist()],
        )
