"""Average precision and AUC of many resamples of the clips, from one ordering a class.

A resample is a count per clip, not a copy of the set: the same counts applied to two models or
two attacks on the same clips make their comparison a paired one.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csc_array

from mmlib.metrics.ranking import check
from mmlib.runtime.arrays import Bools, Floats, Floats32, Indices, Reals
from mmlib.runtime.workers import worker_count

# Floats in a block of partial sums: bounds memory to some 100 MB for a class of thousands.
BLOCK = 2_000_000
# Below this many counted scores threads cost more than they bring.
THREAD_FROM = 20_000_000

Counts = Floats32


class Resampled(NamedTuple):
    """Per class and resample, (K, R) each: average precision and ROC AUC.

    nan where the resample holds no positive of the class (AUC: or no negative).
    """

    average_precision: Floats
    roc_auc: Floats

    def mean_average_precision(self) -> Floats:
        """mAP of each resample, (R,): the mean over the classes that it holds."""
        return _column_means(self.average_precision)


def resample_counts(clips: int, resamples: int, seed: int) -> Counts:
    """How often each resample (drawn with replacement) holds each clip: (clips, resamples).

    The same arguments give the same counts, so runs scored on the same clips, in the same order,
    are compared in pairs. Float32 counts are exact below 2^24 clips.
    """
    if clips < 1:
        raise ValueError("no clips to resample")
    if clips >= 1 << 24:
        raise ValueError(f"{clips} clips: counts are exact only below 2^24")
    generator = np.random.default_rng(seed)
    counts = np.empty((clips, resamples), dtype=np.float32)
    for column in range(resamples):
        picks = generator.integers(0, clips, clips)
        counts[:, column] = np.bincount(picks, minlength=clips)
    return counts


def rank_resampled(labels: ArrayLike, scores: ArrayLike, counts: Counts) -> Resampled:
    """Average precision and AUC of every class in every resample.

    `labels`, `scores` (N, K) as in `metrics.rank`, `counts` (N, R). Equal to scoring each
    resampled set with `metrics.rank`, ties included. Raises ValueError on shapes that differ.
    """
    truth, values = check(labels, scores)
    clips, classes = values.shape
    if counts.shape[0] != clips:
        raise ValueError(f"counts for {counts.shape[0]} clips, scores for {clips}")
    result = Resampled(*np.full((2, classes, counts.shape[1]), np.nan))

    def score(column: int) -> None:
        rows = _rank_class(truth[:, column], values[:, column], counts)
        result.average_precision[column], result.roc_auc[column] = rows

    if clips * counts.shape[1] * classes < THREAD_FROM:
        for column in range(classes):
            score(column)
    else:
        with ThreadPoolExecutor(worker_count()) as pool:
            list(pool.map(score, range(classes)))
    return result


def _rank_class(truth: Bools, values: Reals, counts: Counts) -> tuple[Floats, Floats]:
    """Average precision and AUC of one class, (R,) each.

    Only the counts at and between the positives' distinct scores matter, so the clips are summed
    into 2 L + 1 bins for L such levels: bin 2 j + 1 is level j, the even bins lie between.
    """
    levels = np.unique(values[truth])
    resamples = counts.shape[1]
    precision, auc = np.full((2, resamples), np.nan)
    if len(levels) == 0:
        return precision, auc
    bins = np.searchsorted(levels, values) + np.searchsorted(levels, values, "right")
    positives = _one_a_column(bins[truth] // 2, len(levels))
    everyone = _one_a_column(bins, 2 * len(levels) + 1)
    step = max(1, BLOCK // (2 * len(levels) + 1))
    for start in range(0, resamples, step):
        block = slice(start, start + step)
        chosen = np.ascontiguousarray(counts[:, block])
        precision[block], auc[block] = _rank_bins(everyone @ chosen, positives @ chosen[truth])
    return precision, auc


def _one_a_column(rows: Indices, height: int) -> csc_array:
    """The 0/1 matrix that sums clip i into row rows[i]: (height, len(rows))."""
    count = len(rows)
    ones = np.ones(count, dtype=np.float32)
    return csc_array((ones, rows, np.arange(count + 1)), shape=(height, count))


def _rank_bins(everyone: Counts, positives: Counts) -> tuple[Floats, Floats]:
    """Average precision and AUC from counts: everyone (2 L + 1, R), positives (L, R)."""
    total, hits = everyone.astype(np.float64), positives.astype(np.float64)
    at_least = total[::-1].cumsum(axis=0)[::-1][1::2]
    hits_at_least = hits[::-1].cumsum(axis=0)[::-1]
    negatives = total
    negatives[1::2] -= hits
    below = negatives.cumsum(axis=0)[: 2 * len(hits) : 2]
    wins = (hits * (below + 0.5 * negatives[1::2])).sum(axis=0)
    count, others = hits.sum(axis=0), negatives.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(hits > 0, hits_at_least / at_least, 0.0)
        return (hits * precision).sum(axis=0) / count, wins / (count * others)


def _column_means(values: Floats) -> Floats:
    present = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(present, values, 0.0).sum(axis=0) / present.sum(axis=0))
