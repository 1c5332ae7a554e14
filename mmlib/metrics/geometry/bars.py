"""From which logit on a point belongs to a class: a multi-label head has no argmax to say so.

One probability for all classes, as in the authors' code (0.1), says nothing where classes are more
common than it: a head that has learnt nothing but each class's prevalence then keeps every point,
and every class is perfectly convex. Odds over the prior's ask every class for the same evidence.
"""

import numpy as np
from scipy.special import logit

from mmlib.runtime.arrays import Floats, Ints


def class_bars(
    task: str, carriers: Ints, clips: int, *, threshold: float | None, odds_ratio: float
) -> Floats | None:
    """The logit from which a point belongs to each class, (K,); None when single-label: argmax.

    `threshold` is one probability for every class [code: 0.1]; without it the bar is `odds_ratio`
    times the odds of the class among the clips of the train split, of which `carriers` (K,) have
    it [choice]. A constant output at the prior has an odds ratio of 1.
    """
    if task == "single_label":
        return None
    if threshold is not None:
        return np.full(len(carriers), float(logit(threshold)))
    # half a clip more with the class and without: finite for a class that all clips or none have
    having = carriers + 0.5
    return np.asarray(np.log(having / (clips + 1 - having)) + np.log(odds_ratio))
