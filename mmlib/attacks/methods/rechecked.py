"""Search on a cheap stand-in of the model, such as bfloat16; report the model itself."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from mmlib.attacks.core.losses import Loss
from mmlib.attacks.core.search import Points, Search, Start
from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.pgd import climb, pgd
from mmlib.batch import Batch, Forward


def rechecked(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    rough: Forward,
    attack: Callable[..., Batch] = pgd,
    loss: str | Loss = "bce",
    seeds: Sequence[int] | int = 0,
    start: Start = None,
    **settings: Any,
) -> Batch:
    """Attack `rough` and evaluate what comes out on `model`, one forward pass.

    `rough` gives nearly the logits of `model` for less work. The starts, or the clean clips when
    there are none, are evaluated on `model` too and compete, so that no clip ends below them.
    `settings` go to the attack. Returns a new batch.

    >>> import torch
    >>> from mmlib.attacks import Budget, rechecked
    >>> net = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    >>> model = lambda batch: batch["x"] @ net
    >>> batch, labels = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([0])
    >>> rough = lambda batch: (batch["x"].bfloat16() @ net.bfloat16()).float()
    >>> rechecked(model, batch, labels, {"x": Budget(0.1)}, rough=rough)["x"]
    tensor([[0.5000, 0.5000]])
    """
    search = Search(model, batch, labels, threat, loss, seeds)
    search.begin(start)
    found = attack(rough, batch, labels, threat, loss=loss, seeds=seeds, start=start, **settings)
    search.losses({name: found[name] for name in threat})
    return search.result()


def climb_rechecked(
    search: Search,
    rough: Forward | None,
    points: Mapping[str, Tensor],
    lengths: Sequence[float],
    momentum: float = 0.0,
) -> None:
    """Follow one path, as `climb`, on `rough`, and offer its best point to the search.

    With None in place of a rough model, the path is climbed on the search's own.
    """
    begin: Points = dict(points)
    if rough is None:
        climb(search, begin, lengths, momentum=momentum)
        return
    path = search.on(rough)
    climb(path, begin, lengths, momentum=momentum)
    search.losses(path.best)
