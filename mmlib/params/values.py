"""The kinds of values that sections of params.yaml are made of."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def listed(value: Any) -> Any:
    """Take a scalar for a list of one: `dvc exp run -S` lets a scalar replace a list."""
    return [value] if isinstance(value, int | float | str) else value


class Section(BaseModel):
    """A frozen section of params.yaml; unknown keys, wrong types, NaN and infinity are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Floats = Annotated[tuple[float, ...], BeforeValidator(listed), Field(min_length=1)]
Counts = Annotated[tuple[Count, ...], BeforeValidator(listed), Field(min_length=1)]
Task = Literal["multi_label", "single_label"]

FRESH = Path("data/guides/none.json")
"""As a run's `audio_start` or `video_start`: fresh weights (a file, since DVC needs one)."""
