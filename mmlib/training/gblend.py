"""Gradient-Blending: how much each head counts in joint training (Wang et al. 2020).

"What makes training multi-modal classification networks hard?": a head that generalises fast and
overfits slowly gets a large weight. Between two checkpoints, with training loss L_T and validation
loss L_V, generalisation is dG = L_V(0) - L_V(n), overfitting dO = (L_V(n) - L_T(n)) - (L_V(0) -
L_T(0)), and the best weight is proportional to dG / dO^2.

A ratio to a squared difference of means over few clips is mostly noise, so the clips are resampled,
and heads whose weights cannot be told apart share theirs.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmlib.runtime.arrays import Floats
from mmlib.runtime.errors import UserError
from mmlib.runtime.storage import read_json
from mmlib.threats import THREATS

HEADS = tuple(THREATS)
"""Audio, video, and both: the last one predicts."""

OVERFITTING_FLOOR = 0.01
"""dO counts as at least this share of the mean L_V(0): less is the noise of a finite val set, and
its square would hand all weight to whichever head happened to come out near 0 [choice]."""

RESAMPLES = 1000
"""Draws of the bootstrap."""

CONFIDENCE = 0.95
"""Of the weights' intervals. Not `score.confidence`: these decide what is trained [choice]."""


class ClipLosses(NamedTuple):
    """Each head's loss of each clip after one epoch, head -> (N,).

    `train` holds some clips of train, `val` of val: the same ones for every head and epoch.
    """

    train: Mapping[str, Floats]
    val: Mapping[str, Floats]


class Estimate(NamedTuple):
    """One head between two epochs.

    `share` is its part of dG / dO^2, in the interval `lo` to `hi`; `weight` is what it counts.
    """

    generalisation: float
    overfitting: float
    share: float
    lo: float
    hi: float
    weight: float


def estimate(start: ClipLosses, end: ClipLosses, seed: int = 0) -> dict[str, Estimate]:
    """Weigh the heads by dG / dO^2 between two epochs, as far as the clips can tell them apart.

    dG is clamped at 0, dO at a floor, shares sum to 1; when no head generalises they are equal.
    Intervals are percentiles of `RESAMPLES` bootstraps of the clips of train and of val, each the
    same for all heads and both epochs. Heads whose intervals overlap, directly or through a third,
    share their weight equally: all of them, and the weights are uniform [choice].
    """
    heads = tuple(start.val)
    learnt = np.stack([start.train[name] - end.train[name] for name in heads])
    gained = np.stack([start.val[name] - end.val[name] for name in heads])
    first = np.stack([start.val[name] for name in heads])
    rng = np.random.default_rng(seed)
    of_train, of_val = (_resampled(rng, part.shape[1]) for part in (learnt, gained))
    drawn = _shares(of_train @ learnt.T, of_val @ gained.T, of_val @ first.T)
    tail = (1 - CONFIDENCE) / 2
    lows, highs = np.quantile(drawn, [tail, 1 - tail], axis=0)
    fell, gains = learnt.mean(axis=1), gained.mean(axis=1)
    shares = _shares(fell, gains, first.mean(axis=1))
    rows = np.stack([gains, fell - gains, shares, lows, highs, shares], axis=1).tolist()
    found = {name: Estimate(*row) for name, row in zip(heads, rows, strict=True)}
    for group in alike(found):
        weight = math.fsum(found[name].share for name in group) / len(group)
        found |= {name: found[name]._replace(weight=weight) for name in group}
    return found


def alike(found: Mapping[str, Estimate]) -> list[list[str]]:
    """The heads in groups whose intervals overlap or touch; the lowest interval first."""
    groups: list[list[str]] = []
    reach = -math.inf
    for name in sorted(found, key=lambda head: found[head].lo):
        if found[name].lo > reach:
            groups.append([])
        groups[-1].append(name)
        reach = max(reach, found[name].hi)
    return groups


def _resampled(rng: np.random.Generator, clips: int) -> Floats:
    """What each clip weighs in the mean of each bootstrap, (R, N): rows sum to 1."""
    draws = (rng.integers(clips, size=clips) for _ in range(RESAMPLES))
    counts = np.stack([np.bincount(draw, minlength=clips) for draw in draws])
    return np.asarray(counts / clips, np.float64)


def _shares(learnt: Floats, gained: Floats, first: Floats) -> Floats:
    """The heads' parts of dG / dO^2, (..., H).

    From how far the mean losses fell on train and on val, and from those on val at the start.
    """
    floor = np.maximum(OVERFITTING_FLOOR * first.mean(axis=-1, keepdims=True), 1e-15)
    raw = np.maximum(gained, 0.0) / np.maximum(np.abs(learnt - gained), floor) ** 2
    total = raw.sum(axis=-1, keepdims=True)
    equal = np.full_like(raw, 1.0 / raw.shape[-1])
    shares: Floats = np.divide(raw, total, out=equal, where=total > 0)
    return shares


def guide_of(
    history: Sequence[ClipLosses], start: int, end: int | None, seed: int = 0
) -> dict[str, Any]:
    """The guide, in JSON values, from the losses after each epoch (`end` None: the last).

    `heads` is what training takes; docs/data.md has the other keys. Raises UserError when the
    history lacks one of the epochs.
    """
    last = len(history) - 1 if end is None else end
    if not 0 <= start < last < len(history):
        raise UserError(
            f"blend compares epoch {start} with a later epoch {last}, but the heads were trained "
            f"for epochs 0 to {len(history) - 1}: set blend.from_epoch and blend.to_epoch"
        )
    found = estimate(history[start], history[last], seed)
    groups = alike(found)
    sizes = {part: len(next(iter(heads.values()))) for part, heads in history[0]._asdict().items()}
    return {
        "heads": {name: one.weight for name, one in found.items()},
        "shares": {name: one.share for name, one in found.items()},
        "intervals": {name: [one.lo, one.hi] for name, one in found.items()},
        "alike": groups,
        "why": explain(groups),
        "dG": {name: one.generalisation for name, one in found.items()},
        "dO": {name: one.overfitting for name, one in found.items()},
        "epochs": [start, last],
        "clips": sizes,
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
    }


def explain(groups: Sequence[Sequence[str]]) -> str:
    """Say how the weights follow from the groups of `alike`."""
    if len(groups) == 1:
        return "uniform weights: the intervals of the heads overlap"
    shared = [" and ".join(group) for group in groups if len(group) > 1]
    if shared:
        return f"{shared[0]} share their weight: their intervals overlap"
    return "each head has its own weight: no two intervals overlap"


def read_weights(path: Path) -> dict[str, float] | None:
    """Read the weight of each head from a guide file; None when the guide has no heads.

    Raises UserError unless there are finite weights of at least 0, not all 0, for A, V and AV; they
    are scaled to sum to 1.
    """
    fix = "run `dvc repro`, which makes it, or name another guide"
    weights = read_json(path, fix).get("heads")
    if weights is None:
        return None
    try:
        values = {name: float(weights[name]) for name in HEADS}
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path}: heads must hold a number for each of {HEADS}") from None
    total = sum(values.values())
    if min(values.values()) < 0 or not 0 < total < math.inf:
        raise UserError(f"{path}: weights must be at least 0 and not all 0, not {values}")
    return {name: value / total for name, value in values.items()}
