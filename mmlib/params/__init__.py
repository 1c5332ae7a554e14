"""params.yaml as frozen, checked sections: one a stage, unknown keys refused."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mmlib.params.attacks import Attack, Domain, Scale, Surface, Theorem
from mmlib.params.data import ClipTensor, Data, Decode, EventsData, Leaks, Mel, Shard
from mmlib.params.models import Cnn14, Csn, Fusion, ModelSizes, R2plus1d
from mmlib.params.results import Checks, Embed, Geometry, Report, Score
from mmlib.params.retraining import (
    AdversarialRun,
    Guard,
    MixupRun,
    PlainRun,
    RetrainBase,
    RetrainRun,
    Temperature,
)
from mmlib.params.study import JointRun, Study, StudyRun, StudyTable
from mmlib.params.training import Augment, Blend, Optimiser, SourceRuns, TrainRun
from mmlib.params.values import FRESH, Section, Task
from mmlib.runtime.errors import UserError

__all__ = [
    "FRESH",
    "AdversarialRun",
    "Attack",
    "Augment",
    "Blend",
    "Checks",
    "ClipTensor",
    "Cnn14",
    "Csn",
    "Data",
    "Decode",
    "Domain",
    "Embed",
    "EventsData",
    "Fusion",
    "Geometry",
    "Guard",
    "JointRun",
    "Leaks",
    "Mel",
    "MixupRun",
    "ModelSizes",
    "Optimiser",
    "Params",
    "PlainRun",
    "R2plus1d",
    "Report",
    "RetrainBase",
    "RetrainRun",
    "Scale",
    "Score",
    "Section",
    "Shard",
    "SourceRuns",
    "Study",
    "StudyRun",
    "StudyTable",
    "Surface",
    "Task",
    "Temperature",
    "Theorem",
    "TrainRun",
    "load",
]


class Params(Section):
    """The whole of params.yaml."""

    seed: Annotated[int, Field(ge=0)]
    data: Data
    decode: Decode
    shard: Shard
    model: ModelSizes
    optimiser: Optimiser
    augment: Augment
    train: dict[str, TrainRun]
    blend: Blend
    embed: Embed
    attack: Attack
    score: Score
    checks: Checks
    theorem: Theorem
    geometry: Geometry
    temperature: Temperature
    retrain: dict[str, RetrainRun]
    runs: tuple[str, ...]
    report: Report
    study: Study

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        both = set(self.train) & set(self.retrain)
        if both:
            raise ValueError(f"run {min(both)!r} is in both train and retrain: rename one")
        unknown = set(self.runs) - set(self.train) - set(self.retrain)
        if unknown:
            raise ValueError(f"runs names {min(unknown)!r}, which has no row in train or retrain")
        unknown = set(self.attack.surface.runs) - set(self.train) - set(self.retrain)
        if unknown:
            raise ValueError(
                f"attack.surface.runs names {min(unknown)!r}, which has no row in train or retrain"
            )
        for section, rows in (("retrain", self.retrain), ("study.rows", self.study.rows)):
            for name, row in rows.items():
                if row.init not in self.train:
                    raise ValueError(
                        f"{section}.{name}.init names {row.init!r}, which has no row in train"
                    )
        if self.shard.mel.sample_rate_hz != self.decode.sample_rate_hz:
            raise ValueError(
                f"shard.mel.sample_rate_hz ({self.shard.mel.sample_rate_hz}) differs from "
                f"decode.sample_rate_hz ({self.decode.sample_rate_hz})"
            )
        return self


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check params.yaml.

    YAML 1.2 (ruamel), so that `1e-05`, as DVC writes it, is a number. Raises UserError that names
    the file, the key and what is wrong with it.
    """
    try:
        values = YAML(typ="safe", pure=True).load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the folder that holds it") from None
    except YAMLError as error:
        raise UserError(f"{path}: not YAML: {error}") from None
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {_first_fault(error)}") from None


def _first_fault(error: ValidationError) -> str:
    faults = error.errors()
    first = faults[0]
    key = ".".join(str(part) for part in first["loc"]) or "the file"
    message = first["msg"].removeprefix("Value error, ")
    value = first.get("input")
    shown = f" (it is {value!r})" if isinstance(value, str | int | float | bool | None) else ""
    more = f"; and {len(faults) - 1} more" if len(faults) > 1 else ""
    return f"{key}: {message}{shown}{more}"
