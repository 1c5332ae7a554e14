"""What is measured of the embeddings: sections embed and geometry."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmlib.runtime.settings import Count, Floats, Positive, Section


class Embed(Section):
    """Caching embeddings and logits (stage embed)."""

    batch_size: Count


class Geometry(Section):
    """Class-wise density and convexity (stage geometry)."""

    convexity_split: Literal["train", "val", "eval"]
    density_split: Literal["train", "val", "eval"]
    points: Annotated[int, Field(ge=10)]
    input_points: Annotated[int, Field(ge=0)]
    tau: Floats
    p: Annotated[float, Field(ge=1, allow_inf_nan=True)]
    threshold: Annotated[float, Field(gt=0, lt=1)] | None
    odds_ratio: Positive

    @model_validator(mode="after")
    def _consistent(self) -> "Geometry":
        if not all(0 < tau < 1 for tau in self.tau) or len(set(self.tau)) < len(self.tau):
            raise ValueError("tau must hold distinct quantiles between 0 and 1")
        return self
