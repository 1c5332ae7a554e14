"""What a stage reads of params.yaml: a small class of checked fields, which dvc.yaml declares.

    class Settings(StageSettings):
        seed: int                                            # the key `seed`
        optimiser: Optimiser                                 # the section `optimiser`
        row: Annotated[TrainRun, At("train.{row}")]          # a row, named when the stage starts
        attack: Annotated[AttackMethod, Part("attack")]      # the keys that AttackMethod has

`Settings.load(row="mid")` reads and checks those keys and no others, and `Settings.keys()` names
them: a test holds them against the stage's `params:` in dvc.yaml. Editing a section thus makes
stale the stages that read it, and no others. The whole file is checked by `mmlib.params.whole`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mmlib.runtime.errors import UserError

PARAMS = Path("params.yaml")
Model = TypeVar("Model", bound=BaseModel)


def listed(value: Any) -> Any:
    """Take a scalar for a list of one: `dvc exp run -S` lets a scalar replace a list."""
    return [value] if isinstance(value, int | float | str) else value


def refuse_twice(key: str, values: Sequence[object]) -> None:
    """ValueError when one value stands twice in a list of params."""
    twice = [value for value in values if values.count(value) > 1]
    if twice:
        shown = f"{twice[0]:g}" if isinstance(twice[0], float) else repr(twice[0])
        raise ValueError(f"{key} holds {shown} twice")


class Section(BaseModel):
    """A frozen section of params.yaml; unknown keys, wrong types, NaN and infinity are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _truth_is_no_number(cls, values: Any) -> Any:
        # Python counts true as 1, so that attack.eps=true would be the largest budget.
        for name, value in values.items() if isinstance(values, dict) else ():
            field = cls.model_fields.get(name)
            ones = value if isinstance(value, list | tuple) else (value,)
            if any(isinstance(one, bool) for one in ones) and not _may_be_truth(field):
                raise ValueError(f"{name} is true or false, which is no value for it")
        return values


def _may_be_truth(field: FieldInfo | None) -> bool:
    return field is None or field.annotation in (bool, Any)


Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
LARGEST = 2**31 - 1
"""Of any count: what C libraries behind the packages take."""
Count = Annotated[int, Field(ge=1, le=LARGEST)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
Floats = Annotated[tuple[float, ...], BeforeValidator(listed), Field(min_length=1)]
Counts = Annotated[tuple[Count, ...], BeforeValidator(listed), Field(min_length=1)]
Task = Literal["multi_label", "single_label"]


@dataclass(frozen=True)
class At:
    """The field's key in params.yaml, where it is not the field's own name.

    `{row}` stands for the row that `load` is given. `declared` False: dvc.yaml does not name the
    key, since it only decides whether the stage refuses its input, never what the stage writes.
    """

    key: str
    declared: bool = True


@dataclass(frozen=True)
class Part:
    """The field is a section of which the stage reads only the keys that the field's class has."""

    key: str


class StageSettings(Section):
    """Base of what a stage reads; see the module's docstring."""

    kind: ClassVar[str] = "row"
    """What a row is called in messages."""

    @classmethod
    def load(cls, path: Path = PARAMS, **names: str) -> Self:
        """Read and check the stage's keys, `names` in the place of `{row}` and the like.

        UserError names the file, the key and what is wrong with it.
        """
        values = read(path)
        found = {field: _value(cls, field, values, path, names) for field in cls.model_fields}
        keys = {field: _key(cls, field).format(**names) for field in cls.model_fields}
        return validate(cls, found, path, keys)

    @classmethod
    def keys(cls) -> list[str]:
        """The keys that dvc.yaml declares for the stage, `{row}` left as it is."""
        keys = []
        for name in cls.model_fields:
            mark = _mark(cls, name)
            if isinstance(mark, Part):
                keys += [f"{mark.key}.{part}" for part in _part_fields(cls, name)]
            elif not isinstance(mark, At) or mark.declared:
                keys.append(_key(cls, name))
        return keys


def read(path: Path = PARAMS) -> dict[str, Any]:
    """The params file as plain values.

    YAML 1.2 (ruamel), so that `1e-05`, as DVC writes it, is a number. UserError when it is absent
    or is not a mapping.
    """
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the folder that holds it") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}: save it as UTF-8") from None
    except RecursionError:
        raise UserError(f"{path}: nested too deeply to be read") from None
    except YAMLError as error:
        line = " ".join(str(error).split())
        raise UserError(f"{path}: not YAML: {line}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: holds no sections; `git checkout {path}` brings it back")
    return values


def validate(
    cls: type[Model], values: Any, path: Path, keys: dict[str, str] | None = None
) -> Model:
    """Make `cls` of the values; UserError names the first fault's key (`keys`: field -> key)."""
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {_first_fault(error, values, keys or {})}") from None


def _mark(cls: type[BaseModel], name: str) -> At | Part | None:
    marks = [m for m in cls.model_fields[name].metadata if isinstance(m, At | Part)]
    return marks[0] if marks else None


def _key(cls: type[BaseModel], name: str) -> str:
    mark = _mark(cls, name)
    return mark.key if mark else name


def _part_fields(cls: type[BaseModel], name: str) -> list[str]:
    section: Any = cls.model_fields[name].annotation
    return list(section.model_fields)


def _value(
    cls: type[StageSettings], field: str, values: Any, path: Path, names: dict[str, str]
) -> Any:
    found, above = values, ""
    for part in _key(cls, field).split("."):
        # A name may itself hold a dot, which is not a step down.
        step = part.format(**names)
        if not isinstance(found, dict) or step not in found:
            if part != step and isinstance(found, dict):
                known = ", ".join(map(str, found)) or "none"
                raise UserError(f"{path}: {above} has no {cls.kind} {step!r}, only {known}")
            raise UserError(f"{path}: {f'{above}.' if above else ''}{step}: Field required")
        found = found[step]
        above = f"{above}.{step}" if above else step
    if isinstance(_mark(cls, field), Part) and isinstance(found, dict):
        return {key: found[key] for key in _part_fields(cls, field) if key in found}
    return found


def _first_fault(error: ValidationError, values: Any, keys: dict[str, str]) -> str:
    faults = error.errors()
    first = faults[0]
    parts = _written(first["loc"], values, absent=first["type"] == "missing")
    if parts and parts[0] in keys:
        parts[0] = keys[parts[0]]
    key = f"{'.'.join(parts)}: " if parts else ""
    message = first["msg"].removeprefix("Value error, ")
    value = first.get("input")
    shown = f" (it is {value!r})" if isinstance(value, str | int | float | bool | None) else ""
    more = f"; and {len(faults) - 1} more" if len(faults) > 1 else ""
    return f"{key}{message}{shown}{more}"


def _written(where: tuple[Any, ...], values: Any, *, absent: bool) -> list[str]:
    """The parts of a place that stand in the file, without the kinds of row that pydantic names.

    `absent`: the last part is a key that should be there and is not.
    """
    parts = []
    for place, part in enumerate(where):
        inside = part in values if isinstance(values, dict) else isinstance(part, int)
        if inside and isinstance(values, dict | list):
            values = values[part]
        elif not (absent and place == len(where) - 1):
            continue
        parts.append(str(part))
    return parts
