"""The area under a run's robustness curve: one figure for all budgets of the sweep."""

from typing import NamedTuple

import numpy as np

from mmlib.metrics.intervals import Interval, jackknife_interval
from mmlib.metrics.ranking import average_precision, present_mean
from mmlib.metrics.scores.common import Labels
from mmlib.metrics.scores.conditions import CLEAN_CONDITION, HEADLINE_ATTACK
from mmlib.metrics.scores.jackknife import pseudo_values
from mmlib.metrics.stored import AttackScores, Condition
from mmlib.runtime.arrays import Floats


class Curve(NamedTuple):
    """Budgets of a sweep, ascending, (E,), the mAP at each, (E,), and its pseudo-values (E, N)."""

    budgets: Floats
    mean_ap: Floats
    pseudo: Floats


def areas(attacks: AttackScores, labels: Labels, confidence: float) -> dict[str, Interval]:
    """The normalised area under each threat's curve, with its interval over clips.

    The mean of mAP over the logarithm of the budget, from the smallest to the largest of the sweep
    (trapezoids), over clean mAP: 1 where no budget does any harm. With one budget, what is kept
    there. The interval is that of the ratio's linear part (delta method).
    """
    before = _point(attacks, labels, CLEAN_CONDITION)
    found = {}
    for threat in attacks.threats:
        multiples = sorted(attacks.sweep(threat, HEADLINE_ATTACK))
        points = [_point(attacks, labels, Condition(threat, HEADLINE_ATTACK, m)) for m in multiples]
        curve = Curve(
            np.array(multiples),
            np.array([point[0] for point in points]),
            np.stack([point[1] for point in points]),
        )
        found[threat] = _area(curve, before, confidence)
    return found


def log_weights(budgets: Floats) -> Floats:
    """Weights (E,), of sum 1, of the trapezoids between ascending budgets on a logarithmic axis."""
    if len(budgets) == 1:
        return np.ones(1)
    steps = np.diff(np.log(budgets)) / 2
    weights = np.append(steps, 0) + np.append(0, steps)
    return np.asarray(weights / weights.sum())


def _area(curve: Curve, before: tuple[float, Floats], confidence: float) -> Interval:
    weights = log_weights(curve.budgets)
    clean, clean_pseudo = before
    under = weights @ curve.pseudo
    middle = clean_pseudo.mean()
    share = under.mean() / middle
    pseudo = share + (under - share * clean_pseudo) / middle
    return jackknife_interval(pseudo, float(weights @ curve.mean_ap) / clean, confidence)


def _point(attacks: AttackScores, labels: Labels, condition: Condition) -> tuple[float, Floats]:
    scores = attacks.scores(condition)
    return present_mean(average_precision(labels, scores)), pseudo_values(labels, scores)
