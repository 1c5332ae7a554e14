"""mAP's pseudo-values, one a clip: what intervals and paired differences are made of.

The AP of few positives lies above that of the population, because each counts itself among the
clips that its precision is measured on: of about three positives in a thousand clips, by 0.07 to
0.1. Here a positive counts with the *others* that score at least as much, as many of them
as are expected of n positives and not of the n - 1 that are left; the jackknife takes out most of
the bias that remains and gives the spread. Each clip is deleted in turn, from one ordering a class.
"""

import numpy as np
from numpy.typing import ArrayLike

from mmlib.metrics.ranking import check
from mmlib.runtime.arrays import Bools, Floats, Reals

FEW_POSITIVES = 20
"""Below so many positives a class, the bias of AP is a matter of whole percents. [choice]"""


def pseudo_values(labels: ArrayLike, scores: ArrayLike) -> Floats:
    """Each clip's N T - (N - 1) T_(i), (N,), T the mAP of positives that do not count themselves.

    Their mean estimates the population's mAP over the classes with a positive here, their standard
    deviation over sqrt(N) its error. Those of a difference or a mean are the difference or the mean
    of those of its parts. `labels`, `scores` (N, K) as in `metrics.rank`; nan without a positive. A
    class with one positive keeps its value when that clip is deleted [choice].
    """
    truth, values = check(labels, scores)
    present = np.flatnonzero(truth.any(axis=0))
    total, changes = 0.0, np.zeros(len(truth))
    for column in present:
        own, change = delete_each(truth[:, column], np.ascontiguousarray(values[:, column]))
        total += own
        changes += change
    if not len(present):
        return np.full(len(truth), np.nan)
    return np.asarray((total - (len(truth) - 1) * changes) / len(present))


def ratio(over: Floats, under: Floats) -> Floats:
    """Pseudo-values (N,) of the ratio of two figures: of its linear part (delta method)."""
    middle = under.mean()
    share = over.mean() / middle
    return np.asarray(share + (over - share * under) / middle)


def delete_each(truth: Bools, values: Reals) -> tuple[float, Floats]:
    """Return T of one class, and by how much it changes when each clip is deleted, (N,).

    Deleting a clip touches only the positives that score at most as much, so sums over the
    positives, ascending, say it all. The class has a positive.
    """
    positives = np.sort(values[truth])
    count = len(positives)
    first = np.searchsorted(positives, positives)
    # of each clip: how many positives it scores at least as much as
    reach = np.searchsorted(positives, values, side="right")
    clips = np.bincount(reach, minlength=count + 1)[::-1].cumsum()[::-1]
    rank: Floats = (count - first).astype(np.float64)
    others: Floats = clips[first + 1] - rank
    here = _precision(count, rank, others)
    fewer = _precision(count, rank, np.maximum(others - 1, 0)) - here
    changes = _sums(fewer)[reach] / count
    changes[truth] = 0.0
    if count > 1:
        below = _sums(_precision(count - 1, np.maximum(rank - 1, 1), others))
        above = _sums(_precision(count - 1, rank, others))
        place = reach[truth]
        left = below[place - 1] + above[-1] - above[place]
        changes[truth] = left / (count - 1) - here.mean()
    return float(here.mean()), changes


def _precision(count: int, rank: Floats, negatives: Floats) -> Floats:
    """Precision at the positive of this rank among `count`, (P,), without itself.

    The others above it are rank - 1 of count - 1; rank / (count + 1), the share of positives
    expected above it, makes them as many as of `count`. 1 where nothing scores as much.
    """
    expected = rank - 1 + rank / (count + 1)
    return np.asarray(expected / (expected + negatives))


def _sums(values: Floats) -> Floats:
    """Sums of the first 0, 1, ... values, (P + 1,)."""
    return np.concatenate([[0.0], values.cumsum()])
