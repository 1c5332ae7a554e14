"""What stage stress found, as the page and the plots read it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmlib.metrics.intervals import Interval
from mmlib.report.figures import Line
from mmlib.report.inputs import Inputs, Run
from mmlib.runtime.storage import read_csv

Row = Mapping[str, str]
CLEAN, CORRUPTION, ENCODING = "clean", "corruption", "encoding"


@dataclass(frozen=True)
class Stressed:
    """The rows of metrics/stress of the runs of this page; none where the stage is off."""

    runs: tuple[Run, ...]
    scores: Sequence[Row]
    means: Sequence[Row]
    differences: Sequence[Row]

    @classmethod
    def read(cls, inputs: Inputs) -> "Stressed":
        """Read the three tables below the project's root; UserError where one is damaged."""
        folder = inputs.root / "metrics/stress"
        names = {run.name for run in inputs.runs}
        scores, means, differences = (
            [row for row in _rows(folder / f"{name}.csv") if row["run"] in names]
            for name in ("scores", "means", "differences")
        )
        there = {row["run"] for row in means}
        return cls(
            tuple(run for run in inputs.runs if run.name in there),
            scores,
            means,
            [row for row in differences if row["beside"] in names],
        )

    def mean(
        self,
        run: Run,
        family: str,
        threat: str,
        kind: str = "",
        step: str = "",
        figure: str = "mAP",
    ) -> Interval | None:
        """Mean mAP (or the share `kept` of the clean one) over a family, a kind, or a severity."""
        wanted = (run.name, family, kind, step, threat)
        return next((_interval(row, figure) for row in self.means if _key(row) == wanted), None)

    def clean(self, run: Run) -> Interval | None:
        """mAP on the clips as they are."""
        return self.mean(run, CLEAN, CLEAN)

    def by_severity(self, run: Run, threat: str) -> Line | None:
        """The mean over all corruptions, clean first; None where there are none."""
        found = [
            (float(row["step"]), _interval(row))
            for row in self.means
            if _key(row)[:3] == (run.name, CORRUPTION, "")
            and row["step"]
            and row["threat"] == threat
        ]
        clean = self.clean(run)
        return _line(run, [(0.0, clean), *found]) if found and clean else None

    def by_step(
        self, run: Run, family: str, kind: str, threat: str, clean_at: float
    ) -> Line | None:
        """One kind, condition by condition, with the clean clips in their place."""
        found = [
            (float(row["step"]), _interval(row))
            for row in self.scores
            if (row["run"], row["family"], row["kind"], row["threat"])
            == (run.name, family, kind, threat)
        ]
        clean = self.clean(run)
        return _line(run, [(clean_at, clean), *found]) if found and clean else None

    def kinds(self, family: str) -> list[str]:
        """The kinds of a family, in the order of params."""
        named = (row["kind"] for row in self.means if row["family"] == family)
        return list(dict.fromkeys(kind for kind in named if kind))

    def widest(self, run: Run, family: str, kind: str = "") -> str | None:
        """The threat on all that a family changes of what the run reads; None without one."""
        there = [
            row["threat"]
            for row in self.means
            if _key(row)[:3] == (run.name, family, kind) and not row["step"]
        ]
        return there[-1] if there else None

    def levels(self, kind: str) -> list[tuple[float, str, str]]:
        """Step, sound and picture of each rung of an encoding, in words."""
        found: dict[float, tuple[str, str]] = {}
        for row in self.scores:
            if (row["family"], row["kind"]) == (ENCODING, kind):
                sound, picture = found.get(float(row["step"]), ("", ""))
                found[float(row["step"])] = row["sound"] or sound, row["picture"] or picture
        return [(step, *words) for step, words in found.items()]


def _rows(path: Path) -> list[dict[str, str]]:
    return read_csv(path) if path.is_file() else []


def _key(row: Row) -> tuple[str, str, str, str, str]:
    return row["run"], row["family"], row["kind"], row["step"], row["threat"]


def _interval(row: Row, figure: str = "mAP") -> Interval:
    return Interval(*(number(row[f"{figure}{end}"]) for end in ("", "_lo", "_hi")))


def number(cell: str) -> float:
    """A cell's number, nan for an empty one."""
    return float(cell) if cell else math.nan


def _line(run: Run, points: Iterable[tuple[float, Interval]]) -> Line:
    ordered = sorted(points)
    x = np.array([place for place, _ in ordered])
    y, lo, hi = np.array([list(found) for _, found in ordered]).T
    return Line(run.index, x, y, lo, hi)
