"""The study's rows: what each keeps, over seeds, and paired differences between rows.

A difference has three intervals. That over seeds is Student's t, on the differences of seeds that
both rows have: other seeds, these clips. That over clips is the jackknife of the mean over those
seeds, clip by clip for both: other clips, these models. The third adds their variances: other seeds
and other clips. A verdict asks all, so it rests on the hull of the three. With 3 seeds the
first has 2 degrees of freedom, and is wide; with more of them the hull of the first two would hold
the truth too seldom, in 0.91 of draws of 5 seeds and 0.89 of 10 where both vary alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmlib.metrics.intervals import (
    Interval,
    both_interval,
    both_p,
    jackknife_interval,
    jackknife_p,
    t_interval,
    t_p,
)
from mmlib.params.study import StudyRun
from mmlib.params.whole.file import Params
from mmlib.runtime.arrays import Floats
from mmlib.runtime.parquet import read_parquet
from mmlib.runtime.storage import read_csv, reading

FIGURES = ("mAP", "AUC", "dprime", "accuracy")
COSTS = ("forward_passes", "backward_passes", "optimiser_steps", "clips_seen", "seconds")
# Passes that differ by no more than this share count as matched.
MATCHED = 0.01


@dataclass(frozen=True)
class StudyRow:
    """One row of params.study with its figures.

    `figures`: threat -> figure -> seed -> value; `pseudo`: threat -> seed -> mAP's pseudo-values,
    one per recording; `costs`: means over the seeds; `cells`: (eps, steps) -> mAP of the first
    seed on the table's clips; `val`: seed -> mAP on val, all modalities attacked.
    """

    name: str
    run: StudyRun
    figures: Mapping[str, Mapping[str, Mapping[int, float]]]
    pseudo: Mapping[str, Mapping[int, Floats]]
    costs: Mapping[str, float]
    cells: Mapping[tuple[float, int], float]
    val: Mapping[int, float]

    @property
    def passes(self) -> float:
        """Passes of training, forward and backward."""
        return self.costs["forward_passes"] + self.costs["backward_passes"]

    @property
    def threats(self) -> tuple[str, ...]:
        """Clean, and what the row was attacked under, the widest last."""
        return tuple(self.figures)

    def values(self, threat: str, figure: str = "mAP") -> Floats:
        """The figure under each seed, (S,)."""
        return np.array(list(self.figures[threat].get(figure, {}).values()))


class Gap(NamedTuple):
    """mAP of one row less another's: over seeds, over clips, over both, and what holds for all."""

    seeds: Interval
    clips: Interval
    both: Interval
    p: float

    @property
    def hull(self) -> Interval:
        """The widest interval on either side; nan where one is unknown."""
        found = (self.seeds, self.clips, self.both)
        lo, hi = (np.array([interval[end] for interval in found]) for end in (1, 2))
        return Interval(self.seeds.estimate, float(lo.min()), float(hi.max()))


@dataclass(frozen=True)
class Study:
    """Every row of params.study that has figures, in the order of params."""

    rows: Mapping[str, StudyRow]
    confidence: float
    eps: float

    @property
    def seeds(self) -> int:
        """The most seeds that a row has."""
        return max(len(row.values("clean")) for row in self.rows.values())

    def gap(self, first: str, second: str, threat: str) -> Gap:
        """mAP of `first` less that of `second` under the threat, paired by seed and by clip."""
        one, two = self.rows[first], self.rows[second]
        both = [s for s in one.figures[threat]["mAP"] if s in two.figures[threat]["mAP"]]
        values = np.array(
            [one.figures[threat]["mAP"][s] - two.figures[threat]["mAP"][s] for s in both]
        )
        pseudo = np.mean([one.pseudo[threat][s] - two.pseudo[threat][s] for s in both], 0)
        mean, level = float(values.mean()), self.confidence
        gap = Gap(
            t_interval(values, level),
            jackknife_interval(pseudo, mean, level),
            both_interval(values, pseudo, mean, level),
            float(np.max([t_p(values), jackknife_p(pseudo, mean), both_p(values, pseudo, mean)])),
        )
        # Less its bias the mean may lie on the other side of 0: then nothing points either way.
        return gap._replace(p=1.0) if mean * (gap.clips.lo + gap.clips.hi) < 0 else gap


def read(root: Path, params: Params) -> Study | None:
    """Read metrics/study below `root`; None when the study is off or has no figures yet.

    Raises UserError when a file is there but cannot be read.
    """
    rows = {}
    for name, run in params.study.rows.items():
        path = root / f"metrics/study/{name}.csv"
        if path.is_file():
            rows[name] = _row(name, run, path)
    return Study(rows, params.score.confidence, params.attack.eps) if rows else None


def _row(name: str, run: StudyRun, path: Path) -> StudyRow:
    figures: dict[str, dict[str, dict[int, float]]] = {}
    cells: dict[tuple[float, int], float] = {}
    costs: dict[str, dict[int, float]] = {cost: {} for cost in COSTS}
    val: dict[int, float] = {}
    with reading(path, "figures of a study"):
        for line in read_csv(path):
            seed = int(line["seed"])
            if line["part"] == "table":
                cells[float(line["eps"]), int(line["steps"])] = float(line["mAP"])
                continue
            if line["part"] == "val":
                val[seed] = float(line["mAP"])
                continue
            found = figures.setdefault(line["threat"], {})
            for figure in FIGURES:
                if figure in line:
                    found.setdefault(figure, {})[seed] = float(line[figure])
            for cost in COSTS:
                costs[cost][seed] = float(line[cost])
    pseudo: dict[str, dict[int, Floats]] = {}
    columns = ("seed", "threat", "pseudo_mAP")
    for part in read_parquet(path.with_suffix(".parquet"), columns).to_pylist():
        pseudo.setdefault(part["threat"], {})[part["seed"]] = np.array(part["pseudo_mAP"])
    means = {cost: float(np.mean(list(values.values()))) for cost, values in costs.items()}
    return StudyRow(name, run, figures, pseudo, means, cells, val)
