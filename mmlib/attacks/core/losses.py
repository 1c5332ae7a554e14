"""What an attack makes large: (logits (B, K), labels) -> one loss a clip, (B,).

Labels are (B, K) multi-hot, soft or one-hot, or (B,) class indices. Every loss is written so that
its gradient does not vanish in float32 when the model is sure of itself: `sigmoid(z) - y` is 0 from
z = 17 on, which would hide the gradient from the attack.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot, softplus

from mmlib.runtime.errors import UserError

Loss = Callable[[Tensor, Tensor], Tensor]
"""One that holds something of each clip, such as a target, has a method `rows`: see `of_rows`."""


def bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross entropy, the mean over classes."""
    return (labels * softplus(-logits) + (1 - labels) * softplus(logits)).mean(1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of the class with the largest label, as softplus(log-sum of others - own)."""
    own, others = _split(logits, labels)
    return softplus(others.logsumexp(1) - own)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """The highest absent class minus the lowest present one: above 0, the tags are misranked.

    Single-label: the Carlini-Wagner margin. Clips without a present (absent) class: minus the
    highest absent (lowest present) logit alone is left.
    """
    absent = _masked(logits, labels <= 0.5, -torch.inf).amax(1)
    present = _masked(logits, labels > 0.5, torch.inf).amin(1)
    return _finite(absent) - _finite(present)


def top(logits: Tensor, labels: Tensor) -> Tensor:
    """The highest absent class minus the highest present one: above 0, no true tag is on top."""
    absent = _masked(logits, labels <= 0.5, -torch.inf).amax(1)
    present = _masked(logits, labels > 0.5, -torch.inf).amax(1)
    return _finite(absent) - _finite(present)


def ranking(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of softplus(absent - present) over all pairs: a smooth label-ranking loss."""
    pairs = softplus(logits[:, None, :] - logits[:, :, None])
    weight = labels[:, :, None] * (1 - labels[:, None, :])
    return (pairs * weight).sum((1, 2)) / weight.sum((1, 2)).clamp_min(1e-12)


def balanced_bce(logits: Tensor, labels: Tensor) -> Tensor:
    """BCE with the present and the absent classes given half the weight each [choice].

    Tags are few, so plain BCE is mostly about raising absent ones; a positive that sinks costs
    average precision more than a negative that rises.
    """
    present = (labels * softplus(-logits)).sum(1) / labels.sum(1).clamp_min(1e-12)
    absent = ((1 - labels) * softplus(logits)).sum(1) / (1 - labels).sum(1).clamp_min(1e-12)
    return (present + absent) / 2


def dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """Difference of logits ratio (Croce & Hein 2020): (highest other - own) / (z1 - z3).

    Free of the logits' shift and scale. Single-label, at least 3 classes.
    """
    _at_least_classes(logits, 3, "dlr")
    own, others = _split(logits, labels)
    order = logits.sort(1, descending=True).values
    return (others.amax(1) - own) / (order[:, 0] - order[:, 2] + 1e-12)


def dlr_targeted(logits: Tensor, labels: Tensor, target: Tensor) -> Tensor:
    """DLR towards the class `target` (B,): (z_target - own) / (z1 - (z3 + z4) / 2)."""
    _at_least_classes(logits, 4, "dlr_targeted")
    own, _ = _split(logits, labels)
    order = logits.sort(1, descending=True).values
    aim = logits.gather(1, target[:, None])[:, 0]
    return (aim - own) / (order[:, 0] - (order[:, 2] + order[:, 3]) / 2 + 1e-12)


LOSSES: dict[str, Loss] = {
    "bce": bce,
    "balanced_bce": balanced_bce,
    "cross_entropy": cross_entropy,
    "dlr": dlr,
    "margin": margin,
    "ranking": ranking,
    "top": top,
}


def resolve(loss: str | Loss) -> Loss:
    """Find a loss by its name, or pass a function through; class indices become one-hot."""
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise UserError(f"unknown loss {loss!r}: one of {', '.join(LOSSES)}")
        loss = LOSSES[loss]
    return _OnAnyLabels(loss)


Given = TypeVar("Given", bound=str | Loss | None)


def of_rows(loss: Given, index: Tensor) -> Given:
    """The loss of the clips at `index` (R,) of a batch, by its own `rows` if it has one."""
    cut: Callable[[Tensor], Given] | None = getattr(loss, "rows", None)
    return loss if cut is None else cut(index)


@dataclass(frozen=True)
class _OnAnyLabels:
    chosen: Loss

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.chosen(logits, multi_hot(labels, logits.shape[1]).to(logits.dtype))

    def rows(self, index: Tensor) -> "_OnAnyLabels":
        return _OnAnyLabels(of_rows(self.chosen, index))


def multi_hot(labels: Tensor, classes: int) -> Tensor:
    """Turn (B,) class indices into (B, K); pass (B, K) through."""
    return one_hot(labels, classes) if labels.dim() == 1 else labels


def _split(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The logit of the labelled class, (B,), and all logits with that one at -inf."""
    place = labels.argmax(1, keepdim=True)
    return logits.gather(1, place)[:, 0], logits.scatter(1, place, -torch.inf)


def _masked(logits: Tensor, keep: Tensor, fill: float) -> Tensor:
    return torch.where(keep, logits, torch.full_like(logits, fill))


def _finite(value: Tensor) -> Tensor:
    return torch.where(torch.isinf(value), torch.zeros_like(value), value)


def _at_least_classes(logits: Tensor, classes: int, name: str) -> None:
    if logits.shape[1] < classes:
        raise UserError(f"{name} needs at least {classes} classes, the model has {logits.shape[1]}")
