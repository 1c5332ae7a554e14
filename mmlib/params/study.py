"""Several seeds of several ways to retrain, compared: section study."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mmlib.params.attacks import AttackMethod
from mmlib.params.retraining import AdversarialRun, MixupRun, PlainRun, RetrainBase
from mmlib.params.score import Score
from mmlib.params.training import Augment, Batches, Learning, ModelSizes, Optimiser, TrainRun
from mmlib.runtime.settings import (
    At,
    Count,
    Counts,
    Floats,
    Part,
    Section,
    Seed,
    StageSettings,
    listed,
    refuse_twice,
)


class JointRun(RetrainBase):
    """Train the row `init` of params.train anew, from its starts, with this guide."""

    method: Literal["joint"]
    online_every: Count | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "JointRun":
        if self.online_every is not None and self.guide == "none":
            raise ValueError("online_every re-estimates a guide's weights: set guide too")
        return self


StudyRun = Annotated[PlainRun | MixupRun | AdversarialRun | JointRun, Field(discriminator="method")]


class StudyTable(Section):
    """Budgets of training against budgets of the test."""

    rows: Annotated[tuple[str, ...], BeforeValidator(listed)]
    clips: Count | None
    multiples: Floats
    steps: Counts


class Study(Section):
    """Rows that are trained under several seeds, attacked and compared (stage study)."""

    seeds: Count
    table: StudyTable
    rows: dict[str, StudyRun]

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        absent = [name for name in self.table.rows if name not in self.rows]
        if absent and self.rows:
            raise ValueError(f"table.rows names {absent[0]!r}, which has no row in study.rows")
        if min(self.table.multiples) <= 0:
            raise ValueError("table.multiples must be above 0; the clean clips come by themselves")
        for name in ("rows", "multiples", "steps"):
            refuse_twice(f"table.{name}", getattr(self.table, name))
        return self


class StudySettings(StageSettings):
    """What stage study reads of params.yaml for one row; `start` is the row of its `init`."""

    seed: Seed
    model: ModelSizes
    optimiser: Optimiser
    augment: Augment
    batches: Batches
    attack: Annotated[AttackMethod, Part("attack")]
    score: Score
    seeds: Annotated[int, At("study.seeds")]
    table: Annotated[StudyTable, At("study.table")]
    row: Annotated[StudyRun, At("study.rows.{row}")]
    start: Annotated[TrainRun, At("train.{init}")]

    @classmethod
    def of(cls, row: str) -> Self:
        """Read what the row needs; UserError names what is missing or wrong."""
        return cls.load(row=row, init=_Row.load(row=row).row.init)

    @property
    def learning(self) -> Learning:
        """What its training shares with every run's."""
        return Learning(self.optimiser, self.augment, self.batches)


class _Row(StageSettings):
    row: Annotated[StudyRun, At("study.rows.{row}")]
