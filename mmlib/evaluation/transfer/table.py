"""A matrix of transfer as the files that people compare."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mmlib.evaluation.transfer.play import Played
from mmlib.metrics.scores.conditions import Score, score_condition
from mmlib.runtime.arrays import Bools, Floats32, Texts
from mmlib.runtime.errors import UserError
from mmlib.runtime.storage import decimals, records_csv, rounded, significant

Cell = tuple[str, str, str, float]
"""Source, target, threat and multiple; the clean clips: (run, run, "clean", 0)."""

Cells = Mapping[Cell, Score]


def score_cells(
    source: str,
    played: Mapping[Played, Floats32],
    labels: Bools,
    recordings: Texts,
    task: str,
    confidence: float,
) -> Cells:
    """Score what one run's perturbations left; logits and labels (N, K) of the same clips.

    `recordings` (N,): what each clip was cut from, the units of the intervals.

    UserError where logits are not finite.
    """
    cells = {}
    for (target, threat, multiple), logits in played.items():
        if not np.isfinite(logits).all():
            raise UserError(
                f"{target}: NaN or infinite scores under {source}'s perturbations; the model has "
                "diverged: lower its learning_rate"
            )
        cells[source, target, threat, multiple] = score_condition(
            labels, logits, task, confidence, recordings
        )
    return cells


def matrix_csv(cells: Cells, eps: float) -> str:
    """metrics/transfer/<row>.csv: a row per source, target, threat and budget.

    `mAP`: of the target under the source's perturbations, with its interval; `clean`: without;
    `own`: under those made for the target itself; `share`: of the damage that its own do, the share
    that the source's do, (clean - mAP) / (clean - own), empty where its own do none.
    """
    return records_csv(_rows(cells, eps))


def _rows(cells: Cells, eps: float) -> Iterable[dict[str, str]]:
    for (source, target, threat, multiple), score in cells.items():
        if threat == "clean":
            continue
        found = score.mean_ap
        clean = cells[target, target, "clean", 0.0].mean_ap.estimate
        own = cells[target, target, threat, multiple].mean_ap.estimate
        share = (clean - found.estimate) / (clean - own) if clean > own else float("nan")
        row = {
            "source": source,
            "target": target,
            "threat": threat,
            "multiple": significant(multiple),
            "eps": significant(eps * multiple, 8),
            "mAP": decimals(found.estimate),
            "mAP_lo": decimals(found.lo),
            "mAP_hi": decimals(found.hi),
            "clean": decimals(clean),
            "own": decimals(own),
            "share": decimals(share),
        }
        if "accuracy" in score.figures:
            row["accuracy"] = decimals(score.figures["accuracy"])
        yield row


def figures(cells: Cells) -> dict[str, Any]:
    """metrics/transfer/<row>.json: threat -> mean mAP under runs' own and under others' attacks.

    At the headline budget, or the largest where that is not among them. Without two runs that meet
    a threat there are no others.
    """
    multiples = sorted({multiple for *_, multiple in cells if multiple})
    at = 1.0 if 1.0 in multiples else multiples[-1]
    found: dict[str, Any] = {}
    for threat in dict.fromkeys(threat for _, _, threat, _ in cells if threat != "clean"):
        of_threat = {
            (source, target): score.mean_ap.estimate
            for (source, target, name, multiple), score in cells.items()
            if (name, multiple) == (threat, at)
        }
        own = [value for (source, target), value in of_threat.items() if source == target]
        others = [value for (source, target), value in of_threat.items() if source != target]
        found[threat] = {"own": _mean(own)} | ({"others": _mean(others)} if others else {})
    return found


def _mean(values: Sequence[float]) -> float | None:
    return rounded(sum(values) / len(values))
