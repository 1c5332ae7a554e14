"""What an attacker may change, and by how much: modality -> Budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, prod, sqrt
from typing import Literal

import torch
from torch import Tensor

from mmlib.runtime.errors import UserError
from mmlib.runtime.seeds import derive

Norm = Literal["linf", "l2", "l1"]
NORMS: tuple[Norm, ...] = ("linf", "l2", "l1")


@dataclass(frozen=True)
class Budget:
    """The ball and the box of one modality: ||delta||_norm <= eps and low <= x + delta <= high.

    `eps` is in the data's own unit (features are in [0, 1] of full scale), for each clip alone: a
    number, or a (B,) tensor with one radius a clip. l2 and l1 are plain norms over all the
    elements of a clip.

    >>> from mmlib.attacks import Budget
    >>> Budget(8 / 255).scaled(0.5) == Budget(4 / 255)
    True
    >>> sound = Budget(0.5, "l2", low=-1.0, high=1.0)
    """

    eps: float | Tensor
    norm: Norm = "linf"
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        radii = self.eps if isinstance(self.eps, Tensor) else torch.tensor(float(self.eps))
        if not bool((torch.isfinite(radii) & (radii >= 0)).all()):
            raise UserError(f"eps must be finite and not negative, not {self.eps}")
        if self.norm not in NORMS:
            raise UserError(f"unknown norm {self.norm!r}: one of {', '.join(NORMS)}")
        if not (isfinite(self.low) and isfinite(self.high) and self.low < self.high):
            raise UserError(f"the box [{self.low}, {self.high}] is empty or not finite")

    def scaled(self, factor: float | Tensor) -> "Budget":
        """Give the budget with `factor` times the radius; a (B,) factor gives each clip its own."""
        return replace(self, eps=self.eps * factor)


Threat = Mapping[str, Budget]
"""Modality -> Budget; modalities that it does not name are left untouched."""


def scaled(threat: Threat, factor: float | Tensor) -> dict[str, Budget]:
    """Scale every radius of the threat by the same factor, a number or (B,)."""
    return {modality: budget.scaled(factor) for modality, budget in threat.items()}


def rows(threat: Threat, index: Tensor) -> dict[str, Budget]:
    """Keep the radii of the clips at `index` (R,): the threat for a batch cut the same way."""
    return {
        modality: replace(budget, eps=budget.eps[index])
        if isinstance(budget.eps, Tensor)
        else budget
        for modality, budget in threat.items()
    }


def comparable_radius(eps: float, norm: Norm, shape: Sequence[int]) -> float:
    """Turn a change per element into the radius of a ball over a clip of that shape.

    linf: the largest change is eps; l2: the root-mean-square change is eps, so the radius is
    eps sqrt(n); l1: the mean absolute change is eps, so it is eps n. One eps can then be compared
    across norms and clip sizes [choice].
    """
    n = prod(shape)
    return {"linf": eps, "l2": eps * sqrt(n), "l1": eps * n}[norm]


def build_threat(
    eps: Mapping[str, float], norm: Norm, shapes: Mapping[str, Sequence[int]]
) -> dict[str, Budget]:
    """Give each modality of `eps` a ball of that change per element, in units of full scale.

    `shapes`: modality -> shape of one clip; see `comparable_radius`. Values stay in [0, 1], those
    of sound as a waveform, of one axis, in [-1, 1].
    """
    return {
        modality: Budget(
            comparable_radius(change, norm, shapes[modality]),
            norm,
            low=-1.0 if modality == "audio" and len(shapes[modality]) == 1 else 0.0,
        )
        for modality, change in eps.items()
    }


def clip_seeds(seeds: Sequence[int] | int, clips: int) -> list[int]:
    """One seed a clip: given as such, or derived from one number and the place in the batch."""
    if isinstance(seeds, int):
        return [derive(seeds, place, draw=True) for place in range(clips)]
    if len(seeds) != clips:
        raise UserError(f"{len(seeds)} seeds for {clips} clips: give one a clip")
    return [int(seed) for seed in seeds]
