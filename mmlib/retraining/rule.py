"""The temperature of mixup: which clips to mix and how strongly, from convexity and density.

The paper says what the rule does (augment the less convex classes with samples from the denser
region near the centre of their feature space; set the temperature of audio and video by thresholds
on rho and kappa) and leaves the rule unstated; this one is ours [choice], see docs/retraining.md.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmlib.metrics.geometry.density import centroid_distances
from mmlib.params.retraining import MixupRule
from mmlib.runtime.arrays import Array, Bools, Floats, Ints
from mmlib.runtime.errors import UserError


def class_weights(kappa: Floats, counts: Ints, *, gamma: float, floor: float) -> Floats:
    """Weigh classes by (1 - kappa)^gamma: (K,), sum 1; 0 for a class without clips.

    `kappa` (K,) in [0, 1], finite. `floor` stands for 1 - kappa where that is smaller, so that a
    class measured as perfectly convex is seldom an anchor but never shut out [choice].
    """
    weight = np.where(counts > 0, np.maximum(1.0 - kappa, floor) ** gamma, 0.0)
    if not weight.any():
        raise UserError("temperature: no class has a clip in the train split")
    return np.asarray(weight / weight.sum())


def shortfall(values: Floats, quantile: float) -> tuple[float, Floats]:
    """Return the threshold (a quantile over classes) and (K,) how far each class lies below it.

    A class whose value is NaN or infinite (too few clips to measure) takes no part in the
    threshold and falls short by 0. The threshold is NaN when no class could be measured.
    """
    known = np.isfinite(values)
    if not known.any():
        return float("nan"), np.zeros_like(values)
    threshold = float(np.quantile(values[known], quantile))
    return threshold, np.where(known, np.maximum(threshold - values, 0.0), 0.0)


def beta_parameters(kappa_shortfall: Floats, rho_shortfall: Floats, rule: MixupRule) -> Floats:
    """Give each class its a of Beta(a, a): base * clip(1 + slopes * shortfalls, 1, limit), (K,).

    a = 1 draws lambda uniformly; a larger a draws it nearer 1/2, which mixes more strongly.
    """
    strength = 1.0 + rule.kappa_slope * kappa_shortfall + rule.rho_slope * rho_shortfall
    return np.asarray(rule.base * np.clip(strength, 1.0, rule.limit))


def relative_distances(vectors: Array, labels: Array, present: Bools, *, p: float) -> Floats:
    """Measure each clip's distance to the centres of its classes, in units of the class's median.

    `vectors` (N, D), `labels` (N, K) multi-hot; returns one l_p distance for each non-zero of
    `labels`, in row-major order, NaN for clips outside `present` (N,), which have no vector. A clip
    of several classes is a member of each of them: it counts in each centre and has a distance to
    each [choice]. Where a median is 0 (one clip, or clips that coincide) nothing tells the class's
    clips apart and all get 1.
    """
    result = np.full(labels.shape, np.nan)
    for column in range(labels.shape[1]):
        members = np.flatnonzero((labels[:, column] > 0) & present)
        if members.size == 0:
            continue
        distance = centroid_distances(vectors[members], p)
        median = float(np.median(distance))
        result[members, column] = distance / median if median > 0 else 1.0
    return np.asarray(result[np.nonzero(labels)])


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
) -> tuple[dict[str, Floats], dict[str, Any]]:
    """Turn each modality's kappa and rho (K,) into its Beta parameters, and an account of them.

    Returns modality -> a (K,), and modality -> thresholds used and classes affected.
    """
    beta: dict[str, Floats] = {}
    account: dict[str, Any] = {}
    for modality in kappa:
        kappa_threshold, kappa_gap = shortfall(kappa[modality], rule.threshold_quantile)
        rho_threshold, rho_gap = shortfall(rho[modality], rule.threshold_quantile)
        beta[modality] = beta_parameters(kappa_gap, rho_gap, rule)
        account[modality] = {
            "kappa_threshold": _finite(kappa_threshold),
            "rho_threshold": _finite(rho_threshold),
            "below_kappa": [name for name, gap in zip(classes, kappa_gap, strict=True) if gap > 0],
            "below_rho": [name for name, gap in zip(classes, rho_gap, strict=True) if gap > 0],
        }
    return beta, account


def neutral(values: Floats) -> Floats:
    """Give classes that could not be measured the median of those that could: (K,) finite."""
    known = np.isfinite(values)
    if not known.any():
        raise UserError("temperature: kappa is missing for every class; check stage geometry")
    return np.where(known, values, np.median(values[known]))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
