"""What is cached, measured and shown: sections embed, score, geometry, checks and report."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmlib.params.values import Count, Floats, Section


class Embed(Section):
    """Caching embeddings and logits (stage embed)."""

    batch_size: Count


class Score(Section):
    """Metrics with bootstrap intervals (stage score)."""

    resamples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    common_with: str


class Geometry(Section):
    """Class-wise density and convexity (stage geometry)."""

    split: Literal["train", "val", "eval"]
    points: Annotated[int, Field(ge=10)]
    input_points: Annotated[int, Field(ge=0)]
    tau: Floats
    p: Annotated[float, Field(ge=1, allow_inf_nan=True)]
    threshold: Annotated[float, Field(gt=0, lt=1)]

    @model_validator(mode="after")
    def _consistent(self) -> "Geometry":
        if not all(0 < tau < 1 for tau in self.tau) or len(set(self.tau)) < len(self.tau):
            raise ValueError("tau must hold distinct quantiles between 0 and 1")
        return self


class Checks(Section):
    """What every evaluation checks about itself (stage check)."""

    clips: Annotated[int, Field(ge=8)]
    queries: Annotated[int, Field(ge=2)]
    on_failure: Literal["report", "stop"]


class Report(Section):
    """The page (stage report)."""

    title: str
    resamples: Annotated[int, Field(ge=100)]
