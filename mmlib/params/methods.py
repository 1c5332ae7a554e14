"""Attacks of several methods on the same clips: section methods."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mmlib.params.attacks import GUIDED
from mmlib.params.goals import Threatened, refuse_multiples
from mmlib.runtime.settings import Count, Floats, Positive, Section, listed, refuse_twice

Compared = Literal[
    "apgd",
    "mim",
    "temporal_raise",
    "temporal_lower",
    "misalign",
    "sparse",
    "sparse_random",
]
"""What is tried beside PGD, PGD from a random point, and noise."""

SPARSE = ("sparse", "sparse_random")
"""Those that may touch a share of the time alone."""


class MethodsRun(Threatened):
    """Under which threats one run is attacked by every method."""


class MethodsSearch(Section):
    """Which methods, on how many clips, and how hard each tries.

    `weights` are those of the second term of temporal and misalign beside the loss; `shares` are of
    the time that the sparse methods may touch.
    """

    clips: Annotated[int, Field(ge=2)] | None
    multiples: Floats
    steps: Count
    methods: Annotated[tuple[Compared, ...], BeforeValidator(listed)]
    weights: Annotated[tuple[Positive, ...], BeforeValidator(listed)]
    shares: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], BeforeValidator(listed)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse_multiples(self.multiples)
        for key in ("methods", "weights", "shares"):
            refuse_twice(key, getattr(self, key))
        if any(name in SPARSE for name in self.methods) and not self.shares:
            raise ValueError("shares is empty: say which shares of the time sparse may touch")
        if any(name in GUIDED for name in self.methods) and not self.weights:
            raise ValueError("weights is empty: say how much the second term of misalign weighs")
        return self


class Methods(Section):
    """Runs that are attacked by every method (stage methods)."""

    runs: dict[str, MethodsRun]
    search: MethodsSearch
