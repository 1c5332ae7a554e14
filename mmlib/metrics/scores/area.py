"""The area under a run's robustness curve: one figure for all budgets of the sweep."""

import numpy as np

from mmlib.metrics.intervals import Interval, jackknife_interval
from mmlib.metrics.scores.conditions import RunScore
from mmlib.metrics.scores.jackknife import ratio
from mmlib.runtime.arrays import Floats


def areas(scores: RunScore, confidence: float) -> dict[str, Interval]:
    """The normalised area under each threat's curve, with its interval over clips.

    The mean of mAP over the logarithm of the budget, from the smallest to the largest of the sweep
    (trapezoids), over clean mAP: 1 where no budget does any harm. With one budget, what is kept
    there. The interval is that of the ratio's linear part (delta method).
    """
    clean, found = scores.clean, {}
    for threat, curve in scores.attacked.items():
        multiples = sorted(curve)
        weights = log_weights(np.array(multiples))
        mean_ap = np.array([curve[multiple].figures["mAP"] for multiple in multiples])
        pseudo = weights @ np.stack([curve[multiple].pseudo for multiple in multiples])
        share = float(weights @ mean_ap) / clean.figures["mAP"]
        found[threat] = jackknife_interval(ratio(pseudo, clean.pseudo), share, confidence)
    return found


def log_weights(budgets: Floats) -> Floats:
    """Weights (E,), of sum 1, of the trapezoids between ascending budgets on a logarithmic axis."""
    if len(budgets) == 1:
        return np.ones(1)
    steps = np.diff(np.log(budgets)) / 2
    weights = np.append(steps, 0) + np.append(0, steps)
    return np.asarray(weights / weights.sum())
