"""What else is asked of an attacked run: sections checks and theorem."""

from typing import Annotated, Literal

from pydantic import Field

from mmlib.runtime.settings import Count, Section


class Checks(Section):
    """What every evaluation checks about itself (stage check)."""

    clips: Annotated[int, Field(ge=8)]
    queries: Annotated[int, Field(ge=2)]
    queried_clips: Count
    on_failure: Literal["report", "stop"]


class Alone(Section):
    """Runs of the two modalities alone."""

    audio: str
    video: str


class RadiusSearch(Section):
    """How the smallest radius that breaks a clip is searched."""

    clips: Count | None
    reach: Annotated[float, Field(gt=0)]
    steps: Count
    rounds: Count
    tolerance: Annotated[float, Field(gt=0, lt=0.5)]


class Theorem(Section):
    """Fused runs whose radii are compared with those of their parts (stage theorem)."""

    fused: dict[str, Alone]
    search: RadiusSearch
