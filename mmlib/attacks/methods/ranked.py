"""An attack on the mean average precision of a set, all of whose clips it moves together."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmlib.attacks.core.average_precision import SetPrecision, width_of_round
from mmlib.attacks.core.losses import multi_hot
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
    before left them, `batch_size` clips at a time; steps fall linearly over all rounds, and ranks
    grow sharper from round to round (`SetPrecision`). A clip's own loss need not rise: what counts
    is the set. The first round begins at the best of `start`, by BCE, else at the clean clips.
    Returns a new batch; modalities outside the threat are the same objects.

    >>> import torch
    >>> from mmlib.attacks import Budget, ranked
    >>> model = lambda batch: batch["x"]
    >>> batch, labels = {"x": torch.tensor([[0.6], [0.5]])}, torch.tensor([[1.0], [0.0]])
    >>> ranked(model, batch, labels, {"x": Budget(0.1)})["x"]
    tensor([[0.5000],
            [0.6000]])
    """
    each, places = clip_seeds(seeds, len(labels)), torch.arange(len(labels), device=labels.device)
    first = Search(model, batch, labels, threat, "bce", each)
    points = first.begin(start)
    assert first.best_logits is not None
    logits = first.best_logits
    truth = multi_hot(labels, logits.shape[1])
    for number in range(rounds):
        path = lengths_of_round(number, rounds, steps, step_size)
        found: list[tuple[Points, Tensor]] = []
        for part in torch.split(places, batch_size):
            loss = SetPrecision(logits, truth, part, width_of_round(number, rounds))
            search = Search(
                model,
                {name: tensor[part] for name, tensor in batch.items()},
                labels[part],
                rows(threat, part),
                loss,
                [each[row] for row in part.tolist()],
            )
            search.offer({name: value[part] for name, value in points.items()}, logits[part])
            climb(search, search.best, path, momentum=momentum)
            assert search.best_logits is not None
            found.append((search.best, search.best_logits))
        points = {name: torch.cat([part[name] for part, _ in found]) for name in points}
        logits = torch.cat([part for _, part in found])
    return {**batch, **points}
