"""Average precision, ROC AUC, d' and accuracy, with ties treated exactly as scikit-learn does."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from mmlib.runtime.arrays import Bools, Floats, Ints, Reals
from mmlib.runtime.workers import worker_count

# Columns a task: large enough to hide the cost of starting one, small enough to stay in cache.
COLUMNS = 32
# numpy's sort releases the GIL, so threads help; below this many scores they only cost.
THREAD_FROM = 1_000_000


class Ranking(NamedTuple):
    """Per class, (K,) each: average precision (nan without a positive) and ROC AUC (nan without a
    positive or without a negative)."""

    average_precision: Floats
    roc_auc: Floats


def average_precision(labels: ArrayLike, scores: ArrayLike) -> Floats:
    """Score how well each class ranks its clips: (K,) in (0, 1], nan for a class without positives.

    `labels` (N, K) zero or one, `scores` (N, K) any real. Clips with equal scores share one
    threshold. Raises ValueError on shapes that differ and on NaN scores.
    """
    return rank(labels, scores).average_precision


def lowest_average_precision(labels: Bools) -> Floats:
    """What each class scores when all its clips rank last: (K,), nan without positives.

    The mean of i / (N - P + i) over its P positives of `labels` (N, K): the least that average
    precision can be (Boyd et al. 2012, Unachievable Region in Precision-Recall Space).
    """
    found = np.full(labels.shape[1], np.nan)
    for number, positives in enumerate(labels.sum(0)):
        if positives:
            places = np.arange(1, positives + 1)
            found[number] = np.mean(places / (len(labels) - positives + places))
    return found


def random_average_precision(positives: Ints, clips: int) -> Floats:
    """What each class scores on average when its clips rank at random: (K,), nan without positives.

    `positives` (K,) of `clips` N: (H_N + (P - 1) (N - H_N) / (N - 1)) / N, H_N the harmonic number;
    above the share P / N, as a positive counts itself (Bestgen 2015, Exact Expected Average
    Precision of the Random Baseline).
    """
    harmonic = (1 / np.arange(1, clips + 1)).sum()
    others = (positives - 1) / max(clips - 1, 1)
    return np.where(positives > 0, (harmonic + others * (clips - harmonic)) / clips, np.nan)


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> Floats:
    """Area under the ROC curve: (K,) in [0, 1], nan for a class without positives or negatives.

    Arguments and errors as in `average_precision`; equal scores count one half.
    """
    return rank(labels, scores).roc_auc


def rank(labels: ArrayLike, scores: ArrayLike) -> Ranking:
    """Average precision and ROC AUC of every class from one sort a class.

    Arguments and errors as in `average_precision`.
    """
    truth, values = check(labels, scores)
    classes = values.shape[1]
    starts = range(0, classes, COLUMNS)
    result = np.full((2, classes), np.nan)

    def score(start: int) -> None:
        columns = slice(start, start + COLUMNS)
        pairs = _sorted_columns(truth[:, columns], values[:, columns])
        for column, (everyone, positives) in enumerate(pairs, start):
            result[:, column] = _rank_class(everyone, positives)

    if values.size < THREAD_FROM:
        for start in starts:
            score(start)
    else:
        with ThreadPoolExecutor(worker_count()) as pool:
            list(pool.map(score, starts))
    return Ranking(result[0], result[1])


def check(labels: ArrayLike, scores: ArrayLike) -> tuple[Bools, Reals]:
    """Return labels as bool and scores as float32 or float64, both (N, K); ValueError if unusable.

    Accepts one class as (N,). Half precision and float32 keep every tie that they have; anything
    else is compared as float64.
    """
    truth, values = np.asarray(labels), np.asarray(scores)
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    elif values.dtype != np.float32:
        values = values.astype(np.float64)
    if truth.shape != values.shape or values.ndim not in (1, 2):
        raise ValueError(f"labels {truth.shape} and scores {values.shape} must both be (N, K)")
    if truth.ndim == 1:
        truth, values = truth[:, None], values[:, None]
    if len(truth) == 0:
        raise ValueError("no clips to score")
    if np.isnan(values).any():
        raise ValueError(f"{int(np.isnan(values).any(axis=1).sum())} clips have NaN scores")
    if truth.dtype != np.bool_:
        if not np.isin(truth, (0, 1)).all():
            raise ValueError("labels must be 0 or 1")
        truth = truth.astype(np.bool_)
    return truth, values


def _sorted_columns(labels: Bools, scores: Reals) -> Iterator[tuple[Reals, Reals]]:
    """Yield, for each column, all scores and the positives' scores, both ascending."""
    truth = np.ascontiguousarray(labels.T)
    everyone = np.array(scores.T, order="C")  # a copy: sorted in place below
    positives = [np.sort(row[mask]) for row, mask in zip(everyone, truth, strict=True)]
    everyone.sort(axis=1)
    yield from zip(everyone, positives, strict=True)


def _rank_class(everyone: Reals, positives: Reals) -> tuple[float, float]:
    """Average precision and AUC from sorted scores.

    The step sum over distinct thresholds equals the mean over positives of the precision at their
    own score, so only counts at the positives' scores are needed: no argsort, and all integers.
    """
    count, clips = len(positives), len(everyone)
    if count == 0:
        return np.nan, np.nan
    below = np.searchsorted(everyone, positives)
    positives_below = np.searchsorted(positives, positives)
    precision = np.mean((count - positives_below) / (clips - below))
    if count == clips:
        return float(precision), np.nan
    equal = np.searchsorted(everyone, positives, "right") - below
    positives_equal = np.searchsorted(positives, positives, "right") - positives_below
    # twice the negatives below plus those equal, so that the sum stays an exact integer
    wins = 2 * (below - positives_below) + (equal - positives_equal)
    return float(precision), float(wins.sum() / (2 * count * (clips - count)))


def dprime(auc: ArrayLike) -> Floats:
    """Separation of two unit normals with this AUC: sqrt(2) Phi^-1(AUC), in standard deviations.

    Infinite at AUC 0 and 1, nan outside [0, 1].
    """
    return np.asarray(np.sqrt(2.0) * ndtri(np.asarray(auc, dtype=np.float64)))


def accuracy(labels: ArrayLike, scores: ArrayLike) -> float:
    """Share of clips whose highest score is their class; both (N, K), labels one-hot."""
    truth, values = check(labels, scores)
    return float(np.mean(truth[np.arange(len(truth)), values.argmax(axis=1)]))


def absolute_drop(clean: ArrayLike, attacked: ArrayLike) -> Floats:
    """What the attack took away: clean - attacked."""
    return np.asarray(clean, dtype=np.float64) - np.asarray(attacked, dtype=np.float64)


def relative_drop(clean: ArrayLike, attacked: ArrayLike) -> Floats:
    """The share that the attack took away: 1 - attacked / clean, nan where clean is 0."""
    before, after = np.asarray(clean, dtype=np.float64), np.asarray(attacked, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(before == 0, np.nan, 1.0 - after / before)


def present_mean(values: Floats) -> float:
    """Mean over the classes that have a value; nan when none has, or both infinities are there."""
    kept = values[~np.isnan(values)]
    # d' of a class that is ranked perfectly, or exactly backwards, is infinite.
    with np.errstate(invalid="ignore"):
        return float(kept.mean()) if len(kept) else float("nan")


def summary(labels: ArrayLike, scores: ArrayLike, task: str) -> dict[str, float]:
    """Headline figures of one set of scores, (N, K) each.

    mAP and AUC are means over the classes with a positive (AUC: and a negative); `dprime` is that
    of the mean AUC, `dprime_class_mean` the mean of the classes' own; `skipped_classes` counts the
    classes without a positive; single-label tasks add `accuracy`. Source: docs/metrics.md, paper.
    """
    ranking = rank(labels, scores)
    return summarise(ranking) | (
        {"accuracy": accuracy(labels, scores)} if task == "single_label" else {}
    )


def summarise(ranking: Ranking) -> dict[str, float]:
    """The figures of `summary` that follow from the classes' AP and AUC alone."""
    auc = present_mean(ranking.roc_auc)
    return {
        "mAP": present_mean(ranking.average_precision),
        "AUC": auc,
        "dprime": float(dprime(auc)),
        "dprime_class_mean": present_mean(dprime(ranking.roc_auc)),
        "skipped_classes": int(np.isnan(ranking.average_precision).sum()),
    }
