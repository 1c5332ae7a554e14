"""Perturbations made for one run and played to the others: section transfer."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mmlib.params.goals import Threatened
from mmlib.runtime.settings import Count, Floats, Section, listed, refuse_twice


class TransferRow(Threatened):
    """One matrix: runs against runs, under the same threats and budgets.

    `perturbation`: what stage attack finds for each clip of a run, or one for all clips.
    """

    perturbation: Literal["per_clip", "universal"]
    runs: Literal["all"] | Annotated[tuple[str, ...], BeforeValidator(listed), Field(min_length=1)]
    multiples: Floats

    @property
    def named(self) -> tuple[str, ...]:
        """The runs that are named; none for "all"."""
        return () if self.runs == "all" else self.runs

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        refuse_twice("runs", self.named)
        refuse_twice("multiples", self.multiples)
        if min(self.multiples) <= 0:
            raise ValueError("multiples must be above 0")
        return self


class UniversalFit(Section):
    """How a universal perturbation is fitted to a run: on another split than it is scored on."""

    fit_on: Literal["train", "val"]
    clips: Count | None
    steps: Count


class Transfer(Section):
    """Matrices of transfer (stage transfer)."""

    rows: dict[str, TransferRow]
    universal: UniversalFit
