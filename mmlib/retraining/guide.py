"""The file that steers mixup: data/guides/temperature.json."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError, model_validator

from mmlib.runtime.arrays import Floats
from mmlib.runtime.errors import UserError
from mmlib.runtime.sealed import json_text
from mmlib.runtime.storage import read_json

ByClass = dict[str, Annotated[float, Field(ge=0)]]


class _Stored(BaseModel):
    """What is read of a guide's file, a value a class; the account of it is left alone."""

    model_config = ConfigDict(allow_inf_nan=False)

    class_weight: ByClass | None
    beta: Annotated[dict[str, dict[str, PositiveFloat]], Field(min_length=1)]
    temperature: PositiveFloat | None
    same_class_share: ByClass | None
    distances: dict[str, tuple[float, ...]]

    @model_validator(mode="after")
    def _same_classes(self) -> "_Stored":
        tables = [*self.beta.values(), self.class_weight, self.same_class_share]
        if len({tuple(table) for table in tables if table is not None}) > 1:
            raise ValueError("its parts are of other classes")
        return self


@dataclass(frozen=True)
class Guide:
    """What steers mixup; K classes in the order of `classes`.

    `class_weight` (K,) sums to 1 and draws the anchor's class (None: clips as they come).
    `beta` gives each modality its (K,) parameters a of Beta(a, a). `same_class_share` (K,) is the
    share of partners from the anchor's own class (None: any clip, whatever its class and distance).
    `distances` gives each clip, for each of its labels in class order, its distance to that class's
    centre in units of the class's median; a partner's probability is proportional to
    exp(-distance / temperature) (None: uniform).
    """

    classes: tuple[str, ...]
    class_weight: Floats | None
    beta: dict[str, Floats]
    temperature: float | None
    same_class_share: Floats | None
    distances: dict[str, tuple[float, ...]]


def to_json(guide: Guide, account: Mapping[str, Any]) -> str:
    """Write the guide, and what it was derived from, as JSON: one line per clip, 6 digits."""

    def by_class(values: Floats | None) -> dict[str, float] | None:
        if values is None:
            return None
        return {
            name: float(f"{value:.6g}") for name, value in zip(guide.classes, values, strict=True)
        }

    head = {
        "class_weight": by_class(guide.class_weight),
        "beta": {modality: by_class(values) for modality, values in guide.beta.items()},
        "temperature": guide.temperature,
        "same_class_share": by_class(guide.same_class_share),
        **account,
    }
    text = json.dumps(head, indent=2, allow_nan=False).removesuffix("\n}")
    lines = (
        f"    {json.dumps(clip_id)}: [{', '.join(f'{value:.6g}' for value in values)}]"
        for clip_id, values in guide.distances.items()
    )
    return json_text(text + ',\n  "distances": {\n' + ",\n".join(lines) + "\n  }\n}\n")


def read_guide(path: Path) -> Guide | None:
    """Read a guide; None for the empty guide `{}`.

    Raises UserError when the file is no guide for mixup.
    """
    values = read_json(path, "run `dvc repro`, which makes it, or name another guide")
    if values == {}:
        return None
    try:
        stored = _Stored.model_validate(values)
    except ValidationError:
        raise UserError(
            f"{path}: not a guide for mixup; rows of retrain take `temperature` or `none`"
        ) from None
    weight = _array(stored.class_weight)
    return Guide(
        classes=tuple(next(iter(stored.beta.values()))),
        class_weight=None if weight is None else weight / weight.sum(),
        beta={m: np.array(list(a.values()), float) for m, a in stored.beta.items()},
        temperature=stored.temperature,
        same_class_share=_array(stored.same_class_share),
        distances=stored.distances,
    )


def _array(values: Mapping[str, float] | None) -> Floats | None:
    return None if values is None else np.array(list(values.values()), dtype=np.float64)
