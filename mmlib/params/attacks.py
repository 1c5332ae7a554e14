"""How runs are attacked: sections attack and theorem."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mmlib.runtime.settings import (
    Count,
    Floats,
    NotNegative,
    Positive,
    Section,
    listed,
    refuse_twice,
)

Method = Literal[
    "pgd",
    "apgd",
    "fgsm",
    "mim",
    "square",
    "temporal_raise",
    "temporal_lower",
    "misalign",
    "sparse",
]

GUIDED = ("temporal_raise", "temporal_lower", "misalign")
"""Methods with a second term beside the loss: they work on features that not every model has."""

Domain = Literal["log_mel", "waveform"]


class Scale(Section):
    """Multipliers of attack.eps, one a modality."""

    audio: NotNegative
    video: NotNegative


class Surface(Section):
    """The grid of a sound's and a picture's budget, and one budget shared by both."""

    runs: Literal["all"] | Annotated[tuple[str, ...], BeforeValidator(listed)] = ()
    multiples: Annotated[tuple[float, ...], BeforeValidator(listed)] = ()
    steps: Count = 2
    splits: Annotated[int, Field(ge=2)] = 3
    refinements: Annotated[int, Field(ge=0)] = 1
    shared_steps: Count = 20

    @property
    def named(self) -> tuple[str, ...]:
        """The runs that are named; none for "all"."""
        return () if self.runs == "all" else self.runs

    def attacks(self, run: str) -> bool:
        """Tell whether the plane of a fused run is attacked."""
        return self.runs == "all" or run in self.runs

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        refuse_twice("runs", self.named)
        refuse_twice("multiples", self.multiples)
        return self


class Refine(Section):
    """The rounds that lower the score of the whole set, after each clip was attacked for itself."""

    rounds: Annotated[int, Field(ge=0)] = 0
    steps: Count = 4
    sweep_rounds: Annotated[int, Field(ge=0)] = 2
    sweep_steps: Count = 2
    step_size: Annotated[float, Field(gt=0, le=2)] = 1.0
    momentum: Annotated[float, Field(ge=0, le=1)] = 0.5

    def joins(self, multiple: float) -> int:
        """The round, from 0, that a budget joins: the headline the first, others the last ones."""
        return 0 if multiple == 1 else max(0, self.rounds - self.sweep_rounds)


class AttackMethod(Section):
    """How hard one attack tries, and in what form; eps in units of full scale."""

    eps: Annotated[float, Field(gt=0, le=1)]
    domain: Domain = "log_mel"
    scale: Scale
    norm: Literal["linf", "l2", "l1"]
    steps: Count
    step_size: Annotated[float, Field(gt=0, le=2)]
    momentum: Annotated[float, Field(ge=0, le=1)] = 0.0
    restarts: Count
    loss: Literal["bce", "balanced_bce", "ranking", "margin", "cross_entropy", "dlr"]
    refine: Refine = Refine()
    batch_size: Count
    methods: Annotated[tuple[Method, ...], BeforeValidator(listed), Field(min_length=1)] = ("pgd",)
    queries: Annotated[int, Field(ge=2)] = 200
    term_weight: Positive = 0.1
    time_share: Annotated[float, Field(gt=0, lt=1)] = 0.5

    @property
    def total_steps(self) -> int:
        """Gradient steps at the headline budget: on each clip's own loss, then in the rounds."""
        return self.steps + self.refine.rounds * self.refine.steps

    @model_validator(mode="after")
    def _possible(self) -> Self:
        refuse_twice("methods", self.methods)
        if all(name in GUIDED for name in self.methods):
            raise ValueError(
                f"methods holds {' and '.join(self.methods)} alone, for which a run may lack the"
                " features: name pgd, or another method that needs none, as well"
            )
        return self


class Attack(AttackMethod):
    """The attack sweep (stage attack)."""

    sweep: Floats
    sweep_steps: Count
    examples: Annotated[int, Field(ge=0)]
    surface: Surface = Surface()

    @model_validator(mode="after")
    def _consistent(self) -> "Attack":
        if 1.0 not in self.sweep:
            raise ValueError("sweep must hold 1.0: that is the headline attack.eps")
        if min(self.sweep) <= 0:
            raise ValueError("sweep must hold positive multiples of attack.eps")
        refuse_twice("sweep", self.sweep)
        missing = set(self.surface.multiples) - set(self.sweep)
        if missing:
            raise ValueError(f"surface.multiples holds {min(missing):g}, which sweep does not")
        return self
