"""A check of the figures themselves: AP and AUC of what is stored, recomputed by scikit-learn."""

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from mmlib.evaluation.checks.outcome import Outcome
from mmlib.metrics.ranking import present_mean, rank
from mmlib.metrics.stored import CLEAN, AttackScores, Condition
from mmlib.runtime.arrays import Bools, Floats, Floats32
from mmlib.runtime.seeds import derive, drawn

MOST = 50_000_000
"""Scores to recompute in one run; scikit-learn takes about a microsecond for each."""
_TOLERANCE = 1e-9
_CLEAN = Condition(CLEAN, CLEAN, 0.0)


def scores_match_scikit_learn(
    table: AttackScores, labels: Bools, seed: int, *, most: int = MOST
) -> Outcome:
    """AP and AUC of each class, and their means, must equal scikit-learn's to 1e-9.

    `labels` (N, K) are those of the table's clips, sorted by id. Every condition is recomputed
    while that is no more than `most` scores; else the clean one and as many others as fit, drawn
    by the seed.
    """
    chosen = _chosen(table, labels.size, seed, most)
    gaps = {condition: largest_gap(labels, table.scores(condition)) for condition in chosen}
    name = "scores_match_scikit_learn"
    worst = max(gaps, key=lambda condition: gaps[condition])
    covered = f"{len(chosen)} of {len(table.conditions)} conditions"
    if len(chosen) < len(table.conditions):
        covered += ", drawn by the seed"
    message = f"AP and AUC of {covered}: largest difference {gaps[worst]:.1g}"
    if gaps[worst] < _TOLERANCE:
        return Outcome(name, "pass", message)
    where = (
        "clean"
        if worst == _CLEAN
        else f"{worst.attack} {worst.threat} at {worst.multiple:g} times attack.eps"
    )
    return Outcome(name, "fail", f"{message}, under {where}")


def largest_gap(labels: Bools, scores: Floats32) -> float:
    """The largest difference from scikit-learn over classes and their means, AP and AUC.

    Infinite where one side is undefined and the other is not. (N, K) each.
    """
    ranking = rank(labels, scores)
    truth, values = labels.astype(np.uint8), scores.astype(np.float64)
    some, mixed = labels.any(axis=0), labels.any(axis=0) & ~labels.all(axis=0)
    precision, area = np.full((2, labels.shape[1]), np.nan)
    # a class at a time: where one label is left, scikit-learn takes the matrix for a binary task
    for column in np.flatnonzero(some):
        precision[column] = average_precision_score(truth[:, column], values[:, column])
    for column in np.flatnonzero(mixed):
        area[column] = roc_auc_score(truth[:, column], values[:, column])
    return max(_gap(ranking.average_precision, precision), _gap(ranking.roc_auc, area))


def _gap(ours: Floats, theirs: Floats) -> float:
    pairs = np.array([(*ours, present_mean(ours)), (*theirs, present_mean(theirs))])
    if not np.array_equal(*np.isnan(pairs)):
        return np.inf
    return float(np.nan_to_num(np.abs(pairs[0] - pairs[1])).max())


def _chosen(table: AttackScores, size: int, seed: int, most: int) -> list[Condition]:
    """Clean, and the other conditions, or as many of them as fit, in the table's order."""
    others = [condition for condition in table.conditions if condition != _CLEAN]
    room = max(0, most // size - 1)
    rows = drawn(len(others), room, derive(seed, "recomputed"))
    return [_CLEAN, *(others[row] for row in rows)]
