"""What draws of a decision under Gaussian noise prove of it, whatever a bounded l2 attack does.

Randomised smoothing (Cohen et al. 2019): a model decides about noisy copies of a clip, and the
smoothed score of a class is p(x) = P(the class is shown at x + noise), the noise normal with
standard deviation sigma an element. For any model, however it is made, z(x) = Phi^-1(p(x)) moves by
at most ||d||_2 / sigma when x moves by d (Salman et al. 2019, lemma 2): so all is said in z, and
lengths in multiples of sigma, here called reaches. Of noise with another sigma for each modality
the reach of a change is the root of the sum over modalities of (||d_m||_2 / sigma_m)^2, since
dividing each modality by its own sigma leaves noise of unit variance.

p itself is not known: draws bound it, by Clopper and Pearson, at a chance of error that is stated.
Several labels are a decision each (shown or not), and their errors add (Bonferroni), although one
set of draws serves all classes of a clip.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri
from scipy.stats import beta

from mmlib.metrics.ranking import present_mean
from mmlib.runtime.arrays import Bools, Floats, Ints


class Decisions(NamedTuple):
    """Smoothed decisions (N, K): `shown`, and the `reach` up to which no change turns each.

    A reach is in multiples of sigma and above 0; nan where the draws cannot tell the decision from
    its opposite, which is an abstention.
    """

    shown: Bools
    reach: Floats


class Scores(NamedTuple):
    """Bounds (N, K) of the smoothed scores in z = Phi^-1(p): from below, and from above."""

    low: Floats
    high: Floats


def lowest_z(hits: ArrayLike, draws: int, alpha: float) -> Floats:
    """Phi^-1 of the lower bound of a share that was hit in `hits` of `draws` (any shape).

    The bound is Clopper and Pearson's, one-sided: it lies above the share with a chance of at most
    `alpha`. -inf without a hit.
    """
    counts = np.asarray(hits, dtype=np.float64)
    share = np.where(counts > 0, beta.ppf(alpha, np.maximum(counts, 1), draws - counts + 1), 0.0)
    return np.asarray(ndtri(share))


def largest_reach(draws: int, alpha: float) -> float:
    """The reach of a decision on which all draws agree, Phi^-1(alpha^(1 / draws)): the most.

    What no change can turn, such as a model that ignores what is changed, has this one: so many
    draws cannot tell it from what turns just beyond. 0 for so few draws that none is certified.
    """
    return max(0.0, float(ndtri(alpha ** (1 / draws))))


def decide(first: Ints, first_draws: int, hits: Ints, draws: int, alpha: float) -> Decisions:
    """Decide about each class of each clip, and certify the decision (Cohen et al. 2019, CERTIFY).

    `first` (N, K) of `first_draws` choose which way each decision goes, `hits` (N, K) of other
    `draws` bound how sure it is; both count the draws in which the class was shown. Each statement
    "no change of a smaller reach turns this decision" is wrong with a chance of at most `alpha`.
    """
    shown = 2 * first > first_draws
    reach = lowest_z(np.where(shown, hits, draws - hits), draws, alpha)
    return Decisions(shown, np.where(reach > 0, reach, np.nan))


def bound(hits: Ints, draws: int, alpha: float) -> Scores:
    """Bound every smoothed score (N, K) from both sides, each side wrong with at most `alpha`."""
    return Scores(lowest_z(hits, draws, alpha), -lowest_z(draws - hits, draws, alpha))


def joint(alpha: float, statements: int) -> float:
    """The chance of error of each of so many statements for all to hold but with chance `alpha`."""
    return alpha / max(1, statements)


def certified_ap(labels: Bools, scores: Scores, reach: float) -> Floats:
    """The least average precision (K,) after any change of at most `reach`; nan without a positive.

    What it means: however every clip is changed, each by its own change of at most that reach, the
    smoothed classifier, which ranks clips by p, has at least this average precision, provided that
    `scores` hold for the unchanged clips: `low` for the positives (clips of `labels`, (N, K)) and
    `high` for the negatives. These are as many statements as clips; `joint` makes them hold
    together over clips and classes. (The p of a classifier that is run are shares of draws of its
    own; the bound is about the p that they estimate.)

    Why: a change of reach r moves each z by at most r, so every positive ends at l = low - r or
    above and every negative at u = high + r or below. Order the positives by their scores after the
    change, highest first, ties anyhow. At the threshold of the i-th, s_i, at least i positives are
    kept; so precision there is at least i / (i + n), n the negatives at s_i or above, for
    x / (x + n) grows with x. Of the l, sorted likewise, the i-th is at most s_i (numbers that are
    all raised have an i-th largest that is no smaller), so n is at most the number of u at l_i or
    above. The average precision is the mean of these precisions over the positives. It does not
    suffice to score l and u as they stand: there positives that tie gain from one another.
    """
    found = np.full(labels.shape[1], np.nan)
    for k in range(labels.shape[1]):
        lowest = np.sort(scores.low[labels[:, k], k] - reach)[::-1]
        if len(lowest):
            highest = np.sort(scores.high[~labels[:, k], k] + reach)
            above = len(highest) - np.searchsorted(highest, lowest, "left")
            place = np.arange(1, len(lowest) + 1)
            found[k] = np.mean(place / (place + above))
    return found


def certified_mean_ap(labels: Bools, scores: Scores, reach: float) -> float:
    """The mean of `certified_ap` over the classes with a positive."""
    return present_mean(certified_ap(labels, scores, reach))


def certified_share(decisions: Decisions, wanted: Bools, among: Bools, reach: float) -> float:
    """The share of the pairs `among` (N, K) whose decision is `wanted` up to `reach`; nan of none.

    An abstention is no decision.
    """
    held = (decisions.shown == wanted) & (decisions.reach >= reach)
    return float(held[among].mean()) if among.any() else float("nan")
