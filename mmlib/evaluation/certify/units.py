"""Lengths of changes: reaches, in multiples of sigma, and budgets, in the unit of attack.eps."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod, sqrt

from mmlib.params.attacks import AttackMethod
from mmlib.params.certify import Noise
from mmlib.threats import THREATS


@dataclass(frozen=True)
class Unit:
    """How long a change of a threat's modalities is; modality -> sigma, scale, elements a clip.

    A budget eps (l2) lets the root-mean-square change of each modality be eps times its
    `attack.scale`. Its reach is that of the longest such change, which spends the whole budget in
    each modality: so what is certified up to a reach is certified up to `eps` of it. A change of
    at most eps an element (linf) is within the same budget, and is covered too.
    """

    sigma: Mapping[str, float]
    scale: Mapping[str, float]
    elements: Mapping[str, int]

    @classmethod
    def of(
        cls,
        threat: str,
        sigma: Noise,
        settings: AttackMethod,
        shapes: Mapping[str, tuple[int, ...]],
    ) -> "Unit":
        """The unit of threat A, V or AV; `shapes`: modality -> shape of a clip as attacked."""
        attacked = THREATS[threat]
        return cls(
            {name: getattr(sigma, name) for name in attacked},
            {name: getattr(settings.scale, name) for name in attacked},
            {name: prod(shapes[name]) for name in attacked},
        )

    @property
    def _reach_of_one(self) -> float:
        return sqrt(
            sum(
                self.elements[name] * (self.scale[name] / sigma) ** 2
                for name, sigma in self.sigma.items()
            )
        )

    def reach(self, eps: float) -> float:
        """The reach of the budget eps."""
        return eps * self._reach_of_one

    def eps(self, reach: float) -> float:
        """The largest budget within a reach."""
        return reach / self._reach_of_one

    def l2(self, reach: float) -> float | None:
        """The reach as a plain l2 norm over a clip's elements; None for several modalities."""
        if len(self.sigma) > 1:
            return None
        (sigma,) = self.sigma.values()
        return reach * sigma
