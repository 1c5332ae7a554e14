"""Targeted attacks on the tags of chosen runs: section goals."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from mmlib.runtime.settings import Count, Floats, Section, listed, refuse_twice

EACH = "each"
Threats = (
    Literal["all"]
    | Annotated[tuple[Literal["A", "V", "AV"], ...], BeforeValidator(listed), Field(min_length=1)]
)
Tags = Annotated[tuple[str, ...], BeforeValidator(listed)]


class Threatened(Section):
    """A row that names the threats which a run meets."""

    threats: Threats

    @model_validator(mode="after")
    def _threats_distinct(self) -> Self:
        if self.threats != "all":
            refuse_twice("threats", self.threats)
        return self


def refuse_multiples(multiples: Sequence[float]) -> None:
    """ValueError for multiples of attack.eps without the headline, below 0 or there twice."""
    if 1.0 not in multiples:
        raise ValueError("multiples must hold 1.0: that is the headline attack.eps")
    if min(multiples) <= 0:
        raise ValueError("multiples must be above 0")
    refuse_twice("multiples", multiples)


class Pair(Section):
    """Hide one tag and inject another in its place."""

    hide: str
    inject: str


def _kind(value: Any) -> str:
    """Which of two forms a value has, so that what is wrong with it is said of that form alone."""
    return EACH if value == EACH else "named"


_Each = Annotated[Literal["each"], Tag(EACH)]
EachOrTags = Annotated[_Each | Annotated[Tags, Tag("named")], Discriminator(_kind)]
EachOrPairs = Annotated[_Each | Annotated[tuple[Pair, ...], Tag("named")], Discriminator(_kind)]


class GoalsRun(Threatened):
    """What is tried on one run: tags by name, or each."""

    hide: EachOrTags
    inject: EachOrTags
    swap: EachOrPairs

    @model_validator(mode="after")
    def _something(self) -> Self:
        for key in ("hide", "inject"):
            refuse_twice(key, self.named(key))
        pairs = () if isinstance(self.swap, str) else self.swap
        refuse_twice("swap", [f"{pair.hide} to {pair.inject}" for pair in pairs])
        for pair in pairs:
            if pair.hide == pair.inject:
                raise ValueError(f"swap hides and injects the same tag, {pair.hide!r}")
        if not (self.hide or self.inject or self.swap):
            raise ValueError("hide, inject and swap are all empty: name tags, or write each")
        return self

    def named(self, key: Literal["hide", "inject"]) -> tuple[str, ...]:
        """The tags that hide or inject names; none for each."""
        tags: Literal["each"] | tuple[str, ...] = getattr(self, key)
        return () if isinstance(tags, str) else tags


class Decision(Section):
    """When a clip counts as tagged."""

    rule: Literal["f1", "probability", "top"]
    probability: Annotated[float, Field(gt=0, lt=1)]
    top: Count


class GoalsSearch(Section):
    """How hard goals are tried, on how many clips."""

    clips: Count | None
    multiples: Floats
    steps: Count
    restarts: Count

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse_multiples(self.multiples)
        return self


class Goals(Section):
    """Runs whose tags are hidden and injected (stage goals)."""

    runs: dict[str, GoalsRun]
    decision: Decision
    search: GoalsSearch
