"""Several seeds of several ways to retrain, compared: section study."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from mmlib.params.retraining import AdversarialRun, MixupRun, PlainRun, RetrainBase
from mmlib.params.values import Count, Counts, Floats, Section, listed


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
        return self
