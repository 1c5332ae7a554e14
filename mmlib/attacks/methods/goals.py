"""Targeted multi-label goals as losses: hide a tag, inject a tag, swap sets, reach a tag set.

Each makes a loss for any attack: pgd(..., loss=hide([3])). It is large when the goal is near, and
`reached` tells for each clip whether the tags cross the decision threshold as wished.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from mmlib.attacks.core.losses import Loss


class Wish(NamedTuple):
    """What an attacker wants of the tags of each clip: `target` 0 or 1, `weight` 0 = no matter.

    Both (B, K). A clip whose weights are all 0 has nothing to be done to it.
    """

    target: Tensor
    weight: Tensor


def hide(tags: Sequence[int], *, keep: float = 0.0) -> Loss:
    """Push the given tags below the threshold where they are present.

    `keep` is the weight of leaving the other tags as labelled: 0 lets them go anywhere.

    >>> import torch
    >>> from mmlib.attacks import Budget, hide, pgd
    >>> model = lambda batch: 10 * batch["x"] - 5
    >>> batch, tags = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([[1.0, 0.0]])
    >>> found = pgd(model, batch, tags, {"x": Budget(0.2)}, loss=hide([0]))
    >>> found["x"][0, 0]
    tensor(0.4000)
    """
    return swap(tags, (), keep=keep)


def inject(tags: Sequence[int], *, keep: float = 0.0) -> Loss:
    """Push the given tags above the threshold where they are absent; `keep` as in `hide`.

    >>> import torch
    >>> from mmlib.attacks import Budget, inject, pgd
    >>> model = lambda batch: 10 * batch["x"] - 5
    >>> batch, tags = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([[1.0, 0.0]])
    >>> found = pgd(model, batch, tags, {"x": Budget(0.2)}, loss=inject([1]))
    >>> found["x"][0, 1]
    tensor(0.6000)
    """
    return swap((), tags, keep=keep)


def swap(hidden: Sequence[int], shown: Sequence[int], *, keep: float = 0.0) -> Loss:
    """Hide one set of tags and inject another; `keep` as in `hide`.

    >>> import torch
    >>> from mmlib.attacks import Budget, pgd, swap
    >>> model = lambda batch: 10 * batch["x"] - 5
    >>> batch, tags = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([[1.0, 0.0]])
    >>> found = pgd(model, batch, tags, {"x": Budget(0.2)}, loss=swap([0], [1]))
    >>> found["x"]
    tensor([[0.4000, 0.6000]])
    """

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return _nearness(logits, wish(labels, hidden, shown, keep))

    return loss


def reach(logits: Tensor, labels: Tensor) -> Tensor:
    """Make the model output the tag set that is given in place of the true labels."""
    return _nearness(logits, Wish(labels, torch.ones_like(labels)))


def wish(
    labels: Tensor, hidden: Collection[int], shown: Collection[int], keep: float = 0.0
) -> Wish:
    """Spell a swap out for clips of these labels (B, K)."""
    target, weight = labels.clone(), torch.full_like(labels, keep)
    for tag in hidden:
        weight[:, tag] = (labels[:, tag] > 0.5).to(labels.dtype)
        target[:, tag] = 0
    for tag in shown:
        weight[:, tag] = (labels[:, tag] <= 0.5).to(labels.dtype)
        target[:, tag] = 1
    return Wish(target, weight)


def reached(logits: Tensor, wished: Wish, threshold: float = 0.5) -> Tensor:
    """Tell which clips have every wished tag on the wished side of the threshold: (B,) bool.

    Clips of which nothing was wished are not reached.
    """
    shown = torch.sigmoid(logits) >= threshold
    met = (shown == (wished.target > 0.5)) | (wished.weight == 0)
    return met.all(1) & (wished.weight > 0).any(1)


def _nearness(logits: Tensor, wished: Wish) -> Tensor:
    """Minus the weighted binary cross entropy to the wished tags: 0 at best."""
    short = wished.target * softplus(-logits) + (1 - wished.target) * softplus(logits)
    return -(wished.weight * short).sum(1) / wished.weight.sum(1).clamp_min(1e-12)
