"""The worst case of a ranking metric over the stored attacks, two ways.

mAP is a property of the set of clips, so "the worst attack" has no one meaning: (i) mAP of each
positive's lowest and each negative's highest score over the stored attacks, than which no choice of
one stored attack for each clip leaves less; (ii) by clip, whether a true tag is still ranked first,
and the share of its pairs that are misranked. Another attack may leave less than either.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from mmlib.metrics.ranking import (
    average_precision,
    present_mean,
)
from mmlib.metrics.scores.common import Labels
from mmlib.metrics.stored import (
    CLEAN,
    AttackScores,
    Condition,
)
from mmlib.runtime.arrays import Bools, Floats, Floats32
from mmlib.runtime.storage import rounded
from mmlib.threats import within

Logits = Floats32


def worst_cases(attacks: AttackScores, labels: Labels) -> dict[str, Any]:
    """For each threat at the headline budget the figures, over every stored attack within it.

    Those are the clean clips, noise, smaller budgets, parts of the threat, and each of
    attack.methods. `labels` (N, K) are of the clips in order of their id.
    """
    return {
        threat: _over(labels, list(_up_to_headline(attacks, threat)), attacks)
        for threat in attacks.threats
    }


def _up_to_headline(attacks: AttackScores, threat: str) -> Iterator[Condition]:
    for condition in attacks.conditions:
        fits = condition.threat == CLEAN or within(condition.threat, threat)
        if fits and condition.multiple <= 1:
            yield condition


def _over(labels: Labels, conditions: list[Condition], attacks: AttackScores) -> dict[str, Any]:
    lowest = np.where(labels, np.inf, -np.inf).astype(np.float32)
    kept = np.ones(len(labels), np.bool_)
    misranked = np.zeros(len(labels))
    for condition in conditions:
        logits = attacks.scores(condition)
        lowest = worse_scores(labels, lowest, logits)
        kept &= top_kept(labels, logits)
        misranked = np.maximum(misranked, pairs_misranked(labels, logits))
    tagged = labels.any(axis=1)
    return {
        "lowest_of_stored": rounded(present_mean(least_precision(labels, lowest))),
        "top_kept": rounded(float(kept[tagged].mean())),
        "pairs_misranked": rounded(float(misranked.mean())),
        "attacks": len(conditions),
    }


def worse_scores(labels: Labels, scores: Logits, logits: Logits) -> Logits:
    """Each positive's lower and each negative's higher score of two attacks, (N, K).

    Over any attacks this gives a class the least `least_precision` that choosing one of them for
    each clip can: a bound over those attacks, and no others. Over several classes no one choice
    need reach it.
    """
    return np.where(labels, np.minimum(scores, logits), np.maximum(scores, logits))


def least_precision(labels: Labels, scores: Logits) -> Floats:
    """AP of each class, (K,), with equal scores ordered against it: positives last.

    With them counted as equal, AP can rise when a positive falls to the score of another.
    """
    order = np.lexsort((~labels.astype(np.bool_), scores), axis=0)
    places = np.empty_like(scores)
    np.put_along_axis(places, order, np.arange(len(scores), dtype=scores.dtype)[:, None], axis=0)
    return average_precision(labels, places)


def top_kept(labels: Labels, logits: Logits) -> Bools:
    """Tell which clips, (N,), rank a true tag above every other; for one label: which are right."""
    present = np.where(labels, logits, -np.inf).max(axis=1)
    absent = np.where(labels, -np.inf, logits).max(axis=1)
    return np.asarray(present > absent)


def pairs_misranked(labels: Labels, logits: Logits) -> Floats:
    """The share of each clip's pairs (true tag, other tag) with the other not below, (N,).

    0 for clips without a true or without another tag.
    """
    shares = np.zeros(len(labels))
    for row, (truth, scores) in enumerate(zip(labels, logits, strict=True)):
        present, absent = scores[truth], np.sort(scores[~truth])
        if len(present) and len(absent):
            below = np.searchsorted(absent, present, side="left")
            shares[row] = 1 - below.mean() / len(absent)
    return shares
