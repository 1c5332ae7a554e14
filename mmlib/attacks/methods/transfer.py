"""Attacks that never see the model's gradient: perturbations made for other models."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from mmlib.attacks.core.losses import Loss
from mmlib.attacks.core.search import Search
from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.pgd import pgd
from mmlib.batch import Batch, Forward
from mmlib.runtime.errors import UserError


def transfer(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    sources: Sequence[Forward],
    attack: Callable[..., Batch] = pgd,
    loss: str | Loss = "bce",
    seeds: Sequence[int] | int = 0,
    **settings: Any,
) -> Batch:
    """Attack each source model under the threat and play the result to `model`.

    A source reads those modalities of the batch that it knows: the audio model's perturbation can
    be played to the fused model. With several sources each clip gets the perturbation that costs
    `model` most, one query a source; with one source nothing of `model` is used. `settings` go to
    the attack. Returns a new batch.

    >>> import torch
    >>> from mmlib.attacks import Budget, transfer
    >>> net = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    >>> model = lambda batch: batch["x"] @ net
    >>> batch, labels = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([0])
    >>> other = lambda batch: batch["x"] @ (2 * net)
    >>> transfer(model, batch, labels, {"x": Budget(0.1)}, sources=[other])["x"]
    tensor([[0.5000, 0.5000]])
    """
    if not sources:
        raise UserError("a transfer attack needs at least one source model")
    search = Search(model, batch, labels, threat, loss, seeds)
    for source in sources:
        found = attack(source, batch, labels, threat, loss=loss, seeds=seeds, **settings)
        if len(sources) == 1:
            return found
        search.losses({name: found[name] for name in threat})
    return search.result()
