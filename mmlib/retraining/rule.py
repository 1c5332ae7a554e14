"""The temperature of mixup: which clips to mix and how strongly, from convexity and density.

The paper says what the rule does (augment the less convex classes with samples from the denser
region near the centre of their feature space; set the temperature of audio and video by thresholds
on rho and kappa) and leaves the rule unstated; this one is ours [choice], see docs/retraining.md.
It reads the order of the classes alone, never how far apart they lie, so that its dose is the same
whatever the scale of a metric; `strength` 0 is unguided mixup, exactly.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import rankdata

from mmlib.metrics.geometry.density import centroid_distances
from mmlib.params.retraining import MixupRule
from mmlib.runtime.arrays import Array, Bools, Floats, Ints


def standing(values: Floats) -> Floats:
    """Give each class's place among those that were measured: (K,) in (0, 1), ascending.

    Mid-ranks, (rank - 1/2) / classes measured: equal values stand equally, at 1/2 where all are
    equal. NaN where a class was not measured (too few clips).
    """
    known = np.isfinite(values)
    place = np.full(values.shape, np.nan)
    if known.any():
        place[known] = (rankdata(values[known]) - 0.5) / known.sum()
    return place


def unguided_shares(labels: Array) -> Floats:
    """The chance that an unguided anchor stands for each class: (K,), sum 1.

    Every labelled clip is drawn alike, for one of its labels (N, K) alike.
    """
    each = labels.sum(axis=1)
    shares = (labels[each > 0] / each[each > 0, None]).sum(axis=0)
    return np.asarray(shares / max(shares.sum(), 1.0))


def class_weights(kappa: Floats, shares: Floats, exponent: float) -> Floats:
    """Weigh classes by their share times (1 - standing of kappa)^exponent: (K,), sum 1.

    `shares` (K,) as of `unguided_shares`: what exponent 0 leaves, and 0 for a class without clips.
    A class that was not measured stands in the middle.
    """
    tilt = exponent * np.log1p(-np.nan_to_num(standing(kappa), nan=0.5))
    weight = shares * np.exp(np.minimum(tilt - tilt[shares > 0].max(), 0.0))
    return np.asarray(weight / weight.sum())


def shortfall(values: Floats, quantile: float) -> Floats:
    """Tell how far each class stands below this quantile of the classes: (K,) in [0, 1).

    0 for a class at the quantile or above, and for one that was not measured; towards 1 for the
    lowest of many.
    """
    if quantile == 0:
        return np.zeros_like(values)
    return np.nan_to_num(np.maximum(quantile - standing(values), 0.0) / quantile, nan=0.0)


def beta_parameters(
    kappa_shortfall: Floats, rho_shortfall: Floats, rule: MixupRule, strength: float
) -> Floats:
    """Give each class its a of Beta(a, a), (K,).

    base * clip(1 + strength * (slopes * shortfalls), 1, limit): a = 1 draws lambda uniformly; a
    larger a draws it nearer 1/2, which mixes more strongly.
    """
    raised = rule.kappa_slope * kappa_shortfall + rule.rho_slope * rho_shortfall
    return np.asarray(rule.base * np.clip(1.0 + strength * raised, 1.0, rule.limit))


def same_class_shares(counts: Ints, clips: int, target: float | None, strength: float) -> Floats:
    """The share of partners from the anchor's own class, (K,), for each class.

    By chance it is counts / clips; strength moves its log odds in proportion, and from 1 on it is
    `target` (None: as by chance): no metric decides it, so a stronger guide leaves it there.
    """
    chance = counts / clips
    if target is None or strength == 0:
        return np.asarray(chance)
    if target in (0, 1):
        return np.full(counts.shape, float(target))
    inner = np.clip(chance, 0.5 / clips, 1 - 0.5 / clips)  # finite log odds
    moved = min(strength, 1.0)
    return np.asarray(expit((1 - moved) * logit(inner) + moved * logit(target)))


def relative_distances(vectors: Array, labels: Array, present: Bools, *, p: float) -> Floats:
    """Measure each clip's distance to the centres of its classes, in units of the class's median.

    `vectors` (N, D), `labels` (N, K) multi-hot; returns one l_p distance for each non-zero of
    `labels`, in row-major order, NaN for clips outside `present` (N,), which have no vector. A clip
    of several classes is a member of each of them: it counts in each centre and has a distance to
    each [choice]. Where a median is 0 (one clip, or clips that coincide) nothing tells the class's
    clips apart and all get 1.
    """
    rows, columns = np.nonzero(labels)
    result = np.full(len(rows), np.nan)
    for column in range(labels.shape[1]):
        members = np.flatnonzero((columns == column) & present[rows])
        if members.size == 0:
            continue
        distance = centroid_distances(vectors[rows[members]], p)
        median = float(np.median(distance))
        result[members] = distance / median if median > 0 else 1.0
    return result


def mean_distances(spaces: Sequence[Floats]) -> Floats:
    """Average distances (M,) over the spaces in which a clip has one; 1, the median, in none."""
    stacked = np.stack(spaces)
    known = np.isfinite(stacked)
    count = known.sum(axis=0)
    total = np.where(known, stacked, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), 1.0)


def by_clip(
    clip_ids: Sequence[str], labels: Array, distances: Floats
) -> dict[str, tuple[float, ...]]:
    """Split distances (M,), one for each non-zero of `labels` in row-major order, by clip."""
    ends = np.count_nonzero(labels, axis=1).cumsum()[:-1]
    parts = np.split(distances, ends)
    return {clip_id: tuple(part.tolist()) for clip_id, part in zip(clip_ids, parts, strict=True)}


def describe(
    classes: Sequence[str],
    kappa: Mapping[str, Floats],
    rho: Mapping[str, Floats],
    rule: MixupRule,
    strength: float,
) -> tuple[dict[str, Floats], dict[str, Any]]:
    """Turn each modality's kappa and rho (K,) into its Beta parameters, and an account of them.

    Returns modality -> a (K,), and modality -> thresholds used and classes affected.
    """
    beta: dict[str, Floats] = {}
    account: dict[str, Any] = {}
    for modality in kappa:
        gaps = {
            name: shortfall(values[modality], rule.threshold_quantile)
            for name, values in (("kappa", kappa), ("rho", rho))
        }
        beta[modality] = beta_parameters(gaps["kappa"], gaps["rho"], rule, strength)
        account[modality] = {
            "kappa_threshold": _quantile(kappa[modality], rule.threshold_quantile),
            "rho_threshold": _quantile(rho[modality], rule.threshold_quantile),
            **{
                f"below_{name}": [c for c, lies in zip(classes, gap > 0, strict=True) if lies]
                for name, gap in gaps.items()
            },
        }
    return beta, account


def _quantile(values: Floats, quantile: float) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.quantile(known, quantile)) if known.size else None
