"""Several budgets in one batch: what keeps a GPU busy when the clips alone do not."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mmlib.attacks.core.losses import Loss, of_rows
from mmlib.attacks.core.threat import (
    Threat,
    clip_seeds,
    rows,
    scaled,
)
from mmlib.attacks.methods.pgd import pgd
from mmlib.batch import Batch, Forward


def several(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    multiples: Sequence[float],
    attack: Callable[..., Batch] = pgd,
    loss: str | Loss = "bce",
    seeds: Sequence[int] | int = 0,
    **settings: Any,
) -> list[Batch]:
    """Attack every clip at every multiple of the threat's radii at once.

    Each clip is repeated len(multiples) times, each copy with a radius of its own. `settings`,
    without starts, go to the attack. Returns one new batch a multiple, in their order: what as many
    attacks one after the other return. A sweep whose budgets start from one another's solutions
    cannot run so.

    >>> import torch
    >>> from mmlib.attacks import Budget, several
    >>> model = lambda batch: batch["x"] @ torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    >>> batch, labels = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([0])
    >>> several(model, batch, labels, {"x": Budget(0.1)}, multiples=(0.5, 1.0))[0]["x"]
    tensor([[0.5500, 0.4500]])
    """
    clips, copies = len(labels), len(multiples)
    place = torch.arange(clips, device=labels.device).repeat(copies)
    factors = torch.tensor(multiples, dtype=torch.float64, device=labels.device)
    found = attack(
        model,
        {name: tensor[place] for name, tensor in batch.items()},
        labels[place],
        scaled(rows(threat, place), factors.repeat_interleave(clips)),
        loss=of_rows(loss, place),
        seeds=clip_seeds(seeds, clips) * copies,
        **settings,
    )
    return [
        {
            name: found[name][turn * clips : (turn + 1) * clips] if name in threat else tensor
            for name, tensor in batch.items()
        }
        for turn in range(copies)
    ]
