"""Do the class-wise metrics predict robustness? Correlations over classes, and a verdict.

The paper says that the less convex and less dense classes are the less robust ones: kappa and rho
rise with the share of its AP that a class keeps. Its released data says r = -0.005 over 527 classes
for kappa, and 0.70 with clean AP; so partial correlations, with clean AP and class size held fixed,
stand beside the plain ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mmlib.metrics.intervals import Interval
from mmlib.report import threats
from mmlib.report.comparison.correlation import (
    Correlation,
    correlate,
)
from mmlib.report.comparison.verdict import (
    Claim,
    Lean,
    Verdict,
    p_of,
)
from mmlib.runtime.arrays import Array

Table = Mapping[str, Array]
"""Columns of metrics/classwise/<run>.csv by name; numbers as float64, empty cells nan."""

Drop = Literal["relative", "absolute"]

METRICS = {
    "kappa": "convexity (kappa)",
    "kappa_conditioned": "convexity between correctly classified clips (kappa~)",
    "rho": "density (rho, the paper's form)",
    "log_density": "density (size-invariant)",
}
DROPS: dict[Drop, str] = {
    "relative": "the share of its AP that a class retains",
    "absolute": "the change in a class's AP",
}
# A correlation below this explains under a tenth of the spread: of little use, if any. [choice]
WEAK = 0.3
COVARIATES = 2
"""Columns that a partial correlation holds fixed: clean AP and the logarithm of class size."""


@dataclass(frozen=True)
class Prediction:
    """How one metric goes with robustness under one threat; positive r is what the paper claims.

    Robustness is minus the drop, so that a class that keeps more has more. `partial` holds clean AP
    and the logarithm of class size fixed.
    """

    run: str
    threat: str
    drop: Drop
    metric: str
    pearson: Correlation
    spearman: Correlation
    partial: Correlation

    @property
    def defined(self) -> bool:
        """Tell whether the metric varies over enough classes for a correlation."""
        return not np.isnan(self.pearson.r)

    @property
    def verdict(self) -> Verdict:
        """What this row says alone, uncorrected for the number of rows.

        Supported when r is above 0, and stays so given clean AP and class size. Not supported when
        either is too weak to predict anything, undecided otherwise.
        """
        found = (self.pearson, self.partial)
        if any(part.hi < WEAK for part in found):
            return "not supported"
        return "supported" if all(part.lo > 0 for part in found) else "undecided"

    def judge(self, confidence: float) -> tuple[Lean, float]:
        """Where the verdict points, and the two-sided p of that.

        That both correlations are above 0 asks the larger of their p values (each the larger of
        the t test's and the interval's); that either is below `WEAK`, the smaller of two halves.
        """
        found = (self.pearson, self.partial)
        if self.verdict == "not supported":
            below = [p for part in found if part.hi < WEAK for p in (_p(part, WEAK, confidence),)]
            return "not supported", min(below)
        positive = all(part.r > 0 for part in found)
        largest = max(max(part.p, _p(part, 0.0, confidence)) for part in found)
        return "supported", largest if positive else 1.0

    @property
    def sentence(self) -> str:
        """The finding in words, with its figures."""
        metric, kept = METRICS[self.metric], DROPS[self.drop]
        subject = f"Over {self.pearson.n} classes of {self.run}, {metric}"
        if np.isnan(self.pearson.r):
            return f"{subject} is constant, or defined for too few classes, to predict anything."
        return (
            f"{subject} and {kept} under {threats.WORDS[self.threat]}: "
            f"r = {_figures(self.pearson)}, rank correlation {_figures(self.spearman)}, partial r "
            f"given clean AP and class size {_figures(self.partial)}. {self._conclusion()}"
        )

    def _conclusion(self) -> str:
        if self.verdict == "supported":
            return "It predicts robustness beyond what clean AP and class size do."
        if self.verdict == "undecided":
            return f"These {self.pearson.n} classes do not tell whether it predicts robustness."
        if self.pearson.hi < WEAK:
            return f"It predicts robustness weakly at most: r lies below {WEAK}."
        return (
            "It adds little to what clean AP and class size say about robustness: partial r lies"
            f" below {WEAK}."
        )


def predict(
    run: str,
    classwise: Table,
    threats: Sequence[str],
    *,
    metrics: Sequence[str] = tuple(METRICS),
    drops: Sequence[Drop] = ("relative", "absolute"),
    resamples: int,
    confidence: float,
    seed: int,
) -> list[Prediction]:
    """Correlate each metric with each drop under each threat over a run's classes.

    Metrics and threats without a column in the table are left out; without class sizes, all are.
    """
    if not {"class_size", "clean_ap"} <= set(classwise):
        return []
    size = np.maximum(classwise["class_size"].astype(np.float64), 1.0)
    given = np.column_stack([classwise["clean_ap"].astype(np.float64), np.log(size)])
    settings: dict[str, Any] = {"resamples": resamples, "confidence": confidence, "seed": seed}
    predictions = []
    for threat in threats:
        for drop in drops:
            column = f"{threat}_relative_drop" if drop == "relative" else f"{threat}_drop"
            for metric in metrics:
                if column not in classwise or metric not in classwise:
                    continue
                x, y = classwise[metric], -classwise[column]
                predictions.append(
                    Prediction(
                        run,
                        threat,
                        drop,
                        metric,
                        correlate(x, y, **settings),
                        correlate(x, y, method="spearman", **settings),
                        correlate(x, y, given=given, **settings),
                    )
                )
    return predictions


def trend(x: Array, y: Array) -> tuple[float, float] | None:
    """Slope and intercept of the least-squares line through the finite points.

    None for fewer than 2 points, or when all have the same x.
    """
    kept = np.isfinite(x) & np.isfinite(y)
    if kept.sum() < 2 or np.ptp(x[kept]) == 0:
        return None
    slope, intercept = np.polyfit(x[kept], y[kept], 1)
    return float(slope), float(intercept)


def claim_key(found: Prediction) -> str:
    """The key of a prediction's row on the claims page."""
    return f"predicts_{found.metric}_{found.run}_{found.threat}"


def claims(predictions: Sequence[Prediction], confidence: float) -> list[Claim]:
    """The paper's two claims about prediction as rows: kappa and rho against the relative drop.

    `confidence` is that of the correlations' intervals. The rows are not yet judged. A metric
    whose correlation is undefined has no row.
    """
    papers = {
        "kappa": "claimed; r = −0.005 over 527 classes in the released outputs",
        "rho": "claimed, no figure",
        "log_density": "",
    }
    rows = []
    for found in predictions:
        if found.drop != "relative" or found.metric not in papers or not found.defined:
            continue
        plain = found.pearson
        lean, p = found.judge(confidence)
        rows.append(
            Claim(
                key=claim_key(found),
                statement=f"Classes with a higher {METRICS[found.metric]} retain more of their AP "
                f"under {threats.WORDS[found.threat]}.",
                paper=papers[found.metric],
                compared=f"{found.run}: partial r {_figures(found.partial)} given clean AP and "
                "class size",
                unit="correlation",
                effect=Interval(plain.r, plain.lo, plain.hi),
                n=plain.n,
                p=p,
                lean=lean,
            )
        )
    return rows


def _p(found: Correlation, value: float, confidence: float) -> float:
    """Two-sided p that the correlation is `value`, of its interval on Fisher's scale."""
    ends = np.arctanh(np.clip([found.r, found.lo, found.hi], -1 + 1e-12, 1 - 1e-12))
    return p_of(Interval(*map(float, ends)), confidence, float(np.arctanh(value)))


def _figures(found: Correlation) -> str:
    if np.isnan(found.r):
        return "undefined"
    return f"{found.r:.2f} ({found.lo:.2f} to {found.hi:.2f})".replace("-", "−")
