"""What is left of an attack after encoding, as the files that people compare."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmlib.evaluation.survival.attack import AWARE, PLAIN, UNTOUCHED, Arm
from mmlib.metrics.intervals import Interval, jackknife_interval
from mmlib.metrics.scores.conditions import Score, score_condition
from mmlib.metrics.scores.jackknife import ratio
from mmlib.runtime.arrays import Bools, Floats, Floats32, Texts
from mmlib.runtime.errors import UserError
from mmlib.runtime.storage import decimals, records_csv, rounded

WRITTEN = ("as written", "")
"""Kind and level of the file that nobody has encoded yet."""


class Scored(NamedTuple):
    """A run's scores: (arm, place of the condition, -1 as written) -> score."""

    arms: Sequence[Arm]
    conditions: Sequence[tuple[str, str]]
    scores: Mapping[tuple[Arm, int], Score]
    confidence: float

    def drop(self, arm: Arm, place: int) -> tuple[float, Floats]:
        """Clean mAP less attacked mAP, both after the same condition: value, pseudo-values."""
        clean, left = self.scores[UNTOUCHED, place], self.scores[arm, place]
        return clean.figures["mAP"] - left.figures["mAP"], clean.pseudo - left.pseudo


def score_arms(
    arms: Sequence[Arm],
    conditions: Sequence[tuple[str, str]],
    logits: Mapping[str, Floats32],
    labels: Bools,
    recordings: Texts,
    task: str,
    confidence: float,
) -> Scored:
    """Score logits (N, K) by `Arm.key`; `recordings` (N,) are the units of the intervals.

    UserError where logits are not finite.
    """
    scores = {}
    for arm in arms:
        for place in range(-1, len(conditions)):
            found = logits[arm.key(place)]
            if not np.isfinite(found).all():
                raise UserError(
                    f"NaN or infinite scores under {' '.join(arm)}; the model has diverged: lower "
                    "its learning_rate"
                )
            scores[arm, place] = score_condition(labels, found, task, confidence, recordings)
    return Scored(arms, conditions, scores, confidence)


def survival_csv(scored: Scored) -> str:
    """metrics/survival/<run>.csv: a row per threat, method, regard and condition.

    `clean` and `mAP`: without and with the attack, both after the condition; `drop` is their
    difference, `survival` the share that it is of the drop before any encoding, and `times` how
    many times that of the plain attack at the same budget.
    """
    return records_csv(_rows(scored))


def _rows(scored: Scored) -> Iterator[dict[str, str]]:
    named = [*enumerate(scored.conditions), (-1, WRITTEN)]
    for arm in scored.arms:
        if arm == UNTOUCHED:
            continue
        for place, (kind, level) in sorted(named):
            value, pseudo = scored.drop(arm, place)
            row = {
                "threat": arm.threat,
                "method": arm.method,
                "regard": arm.regard,
                "kind": kind,
                "level": level,
                "clean": decimals(scored.scores[UNTOUCHED, place].figures["mAP"]),
                **_cells("mAP", scored.scores[arm, place].mean_ap),
                **_cells("drop", jackknife_interval(pseudo, value, scored.confidence)),
                **_cells("survival", _share(scored, arm, place, arm, -1)),
            }
            if arm.regard == AWARE:
                plain = arm._replace(regard=PLAIN)
                row |= _cells("times", _share(scored, arm, place, plain, place))
            yield row


def _share(scored: Scored, arm: Arm, place: int, of: Arm, before: int) -> Interval:
    """A drop as a share of another: nan where that one is none, without ends where it may be."""
    value, pseudo = scored.drop(arm, place)
    whole, below = scored.drop(of, before)
    if whole <= 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    if (arm, place) == (of, before):
        return Interval(1.0, 1.0, 1.0)
    if jackknife_interval(below, whole, scored.confidence).lo <= 0:
        return Interval(value / whole, float("nan"), float("nan"))
    return jackknife_interval(ratio(pseudo, below), value / whole, scored.confidence)


def _cells(name: str, found: Interval) -> dict[str, str]:
    ends = zip(("", "_lo", "_hi"), found, strict=True)
    return {f"{name}{end}": decimals(value) for end, value in ends}


def figures(scored: Scored) -> dict[str, Any]:
    """metrics/survival/<run>.json: threat -> method -> mean drop after encoding, plain and aware.

    Beside each the share that survives, of the drop before; means over all that is scored.
    """
    found: dict[str, Any] = {}
    for arm in scored.arms:
        if arm == UNTOUCHED:
            continue
        after = np.mean([scored.drop(arm, place)[0] for place in range(len(scored.conditions))])
        before = scored.drop(arm, -1)[0]
        kept = float(after) / before if before > 0 else float("nan")
        values = {"drop": rounded(float(after)), "survival": rounded(kept)}
        found.setdefault(arm.threat, {}).setdefault(arm.method, {})[arm.regard] = values
    return found
