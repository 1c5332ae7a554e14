"""What clips that could not be scored might have done to a score: its exact extremes.

A published mAP on the clips that were left of a list says nothing of the others. Their labels are
known, their scores are not; here they take the worst and the best that there could be. The mAP of
the whole list lies between the two, that of the clips that were scored need not.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmlib.metrics.ranking import accuracy, present_mean
from mmlib.metrics.scores.common import Labels
from mmlib.metrics.scores.conditions import (
    CLEAN_CONDITION,
    HEADLINE_ATTACK,
)
from mmlib.metrics.stored import (
    CLEAN,
    AttackScores,
    Condition,
)
from mmlib.runtime.arrays import Floats, Ints, Reals, Texts
from mmlib.runtime.storage import rounded
from mmlib.shards.read.manifest import ids_hash
from mmlib.shards.rows.clips import OK
from mmlib.shards.rows.ledger import read_rows

# Of the SHA-256 of the ids: enough to tell sets apart, short enough for a table.
HASH_DIGITS = 12


class Missing(NamedTuple):
    """Eval clips that were asked for, those without a score, and the labels (M, K) of the latter.

    A clip that was left out because train has no clip of its class is not counted: the task is
    without it.
    """

    requested: int
    labels: Labels


class Bounds(NamedTuple):
    """The lowest and the highest value of a figure over all scores that missing clips may have."""

    lowest: float
    highest: float


def read_missing(ledger: Path, classes: Sequence[str]) -> Missing:
    """The eval clips of the ledger that are in no shard; UserError when it cannot be read."""
    place_of = {name: place for place, name in enumerate(classes)}
    requested = 0
    rows = [np.zeros((0, len(classes)), np.bool_)]
    for table in read_rows(ledger, ("status", "error", "labels"), "eval"):
        for status, error, labels in zip(*(c.to_pylist() for c in table.columns), strict=True):
            if error == "untrained_class":
                continue
            requested += 1
            if status != OK:
                row = np.zeros((1, len(classes)), np.bool_)
                row[0, [place_of[name] for name in labels if name in place_of]] = True
                rows.append(row)
    return Missing(requested, np.concatenate(rows))


def mean_ap_bounds(labels: Labels, scores: Reals, missing: Labels) -> Bounds:
    """mAP's extremes, over the classes with a positive among all clips; nan without any.

    `labels`, `scores` (N, K) are of the scored clips, `missing` (M, K) the labels of the others.
    Highest: missing positives before everything, missing negatives after everything. Lowest:
    missing negatives before everything; the positives where they do least good, see `_lowest`.
    """
    ends = [
        _extremes(labels[:, column], scores[:, column], missing[:, column])
        for column in range(labels.shape[1])
    ]
    lowest, highest = np.array(ends, np.float64).T
    return Bounds(present_mean(lowest), present_mean(highest))


def _extremes(truth: Labels, scores: Reals, missing: Labels) -> tuple[float, float]:
    added, negatives = int(missing.sum()), int((~missing).sum())
    known = int(truth.sum())
    if known + added == 0:
        return np.nan, np.nan
    everyone, positives = np.sort(scores), np.sort(scores[truth])
    clips = (len(everyone) - np.searchsorted(everyone, positives)).astype(np.float64)
    hits: Floats = (known - np.searchsorted(positives, positives)).astype(np.float64)
    high = ((hits + added) / (clips + added)).sum() + added
    above = len(everyone) - np.searchsorted(everyone, positives, side="right") + negatives
    low = _lowest(hits, clips + negatives, above, len(truth) + negatives, added)
    return low / (known + added), float(high / (known + added))


def _lowest(hits: Floats, clips: Floats, above: Ints, total: int, added: int) -> float:
    """The smallest sum of precisions with `added` positives more, each of a score of its own.

    Of each positive (P,), ascending in score: the positives and the clips that score at least as
    much, and the clips that score more; `total` clips in all. One more positive adds the precision
    of its place and raises those below it, so the worst place is just above some positive, with
    many negatives before it, or the end. Dynamic programming over those places, the highest first:
    `least[t]` is the smallest sum so far with t of them placed.
    """
    count = np.arange(added + 1.0)
    least = np.where(count == 0, 0.0, np.inf)
    before = 0.0
    _, firsts, sizes = np.unique(clips, return_index=True, return_counts=True)
    for first, size in zip(firsts, sizes, strict=True):
        least = _place(least, before, above[first], count)
        least = least + size * (hits[first] + count) / (clips[first] + count)
        before = hits[first]
    return float(_place(least, before, total, count)[-1])


def _place(least: Floats, hits: float, clips: int, count: Floats) -> Floats:
    """Let any number more be placed one after another where so many hits and clips lie before."""
    own = np.zeros_like(count)
    own[1:] = np.cumsum((hits + count[1:]) / (clips + count[1:]))
    return np.minimum.accumulate(least - own) + own


def accuracy_bounds(accuracy: float, clips: int, missing: int) -> Bounds:
    """Accuracy's extremes: every missing clip wrong, or right."""
    right = accuracy * clips
    return Bounds(right / (clips + missing), (right + missing) / (clips + missing))


def evaluated(
    headline: dict[str, Any],
    attacks: AttackScores,
    labels: Labels,
    missing: Missing,
    *,
    restricted: bool,
    recordings: Texts | None = None,
) -> dict[str, Any]:
    """The run's figures with the set of clips behind them and, where one is missing, their bounds.

    Adds `set`: the hash of the scored clips' ids, how many were requested, scored and missing, and
    from how many `recordings` (N,) those come that were scored, if that is known;
    to clean and each threat `mAP_lowest` and `mAP_highest`, and `accuracy_...` for one label a
    clip. Bounds are of the requested list; of a set that was `restricted` on purpose nothing is
    missing.
    """
    absent = missing.labels[:0] if restricted else missing.labels
    found = dict(headline)
    for name in (CLEAN, *attacks.threats) if len(absent) else ():
        condition = Condition(name, HEADLINE_ATTACK, 1.0)
        scores = attacks.scores(CLEAN_CONDITION if name == CLEAN else condition)
        ends = {"mAP": mean_ap_bounds(labels, scores, absent)}
        if attacks.task == "single_label":
            ends["accuracy"] = accuracy_bounds(accuracy(labels, scores), len(labels), len(absent))
        figures = {
            f"{key}_{side}": rounded(value)
            for key, bounds in ends.items()
            for side, value in bounds._asdict().items()
        }
        found[name] = headline[name] | figures
    return found | {
        "set": {
            "hash": ids_hash(attacks.clip_ids.tolist())[:HASH_DIGITS],
            "requested": missing.requested,
            "scored": len(labels),
            "missing": len(missing.labels),
            **({} if recordings is None else {"recordings": len(np.unique(recordings))}),
        }
    }
