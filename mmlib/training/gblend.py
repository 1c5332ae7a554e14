"""Gradient-Blending: how much each head counts in joint training (Wang et al. 2020).

"What makes training multi-modal classification networks hard?": a head that generalises fast and
overfits slowly gets a large weight. Between two checkpoints, with training loss L_T and validation
loss L_V, generalisation is dG = L_V(0) - L_V(n), overfitting dO = (L_V(n) - L_T(n)) - (L_V(0) -
L_T(0)), and the best weight is proportional to dG / dO^2.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmlib.runtime.errors import UserError
from mmlib.runtime.storage import read_json, read_table, reading
from mmlib.threats import THREATS

HEADS = tuple(THREATS)
"""Audio, video, and both: the last one predicts."""

OVERFITTING_FLOOR = 0.01
"""dO counts as at least this share of the mean L_V(0): less is the noise of a finite val set, and
its square would hand all weight to whichever head happened to come out near 0 [choice]."""


class Curve(NamedTuple):
    """Training and validation losses of one head, one each an epoch."""

    train: Sequence[float]
    val: Sequence[float]


class Estimate(NamedTuple):
    """One head's generalisation and overfitting between two epochs, and its share of the loss."""

    generalisation: float
    overfitting: float
    weight: float


def estimate(curves: Mapping[str, Curve], start: int, end: int | None) -> dict[str, Estimate]:
    """Weigh the heads by dG / dO^2 between the epochs `start` and `end` (None: the last one).

    dG is clamped at 0, |dO| at a floor, weights sum to 1; when no head generalises they are equal.
    Raises UserError when a curve lacks one of the epochs.
    """
    spans = {name: _span(name, curve, start, end) for name, curve in curves.items()}
    floor = OVERFITTING_FLOOR * sum(first for first, _, _ in spans.values()) / len(spans)
    raw = {
        name: max(0.0, gain) / max(overfit**2, floor**2, 1e-30)
        for name, (_, gain, overfit) in spans.items()
    }
    total = sum(raw.values())
    return {
        name: Estimate(gain, overfit, raw[name] / total if total > 0 else 1.0 / len(spans))
        for name, (_, gain, overfit) in spans.items()
    }


def _span(name: str, curve: Curve, start: int, end: int | None) -> tuple[float, float, float]:
    """L_V at the start, dG and dO of one curve."""
    last = len(curve.val) - 1 if end is None else end
    if not 0 <= start <= last < len(curve.val):
        raise UserError(
            f"blend compares epoch {start} with epoch {last}, but the history of head {name} has "
            f"epochs 0 to {len(curve.val) - 1}: set blend.from_epoch and blend.to_epoch"
        )
    gain = curve.val[start] - curve.val[last]
    overfit = (curve.val[last] - curve.train[last]) - (curve.val[start] - curve.train[start])
    return curve.val[start], gain, overfit


def read_curve(path: Path) -> Curve:
    """Read train_loss and val_loss of metrics/training/<run>.csv; UserError when it has none."""
    table = read_table(path)
    with reading(path, "a training history"):
        losses = [table[f"{name}_loss"].astype(np.float64) for name in Curve._fields]
        if np.isnan(losses).any():
            raise ValueError("a loss is missing")
    return Curve(*(values.tolist() for values in losses))


def read_weights(path: Path) -> dict[str, float] | None:
    """Read the weight of each head from a guide file; None when the guide has no heads.

    Raises UserError unless there are finite weights of at least 0, not all 0, for A, V and AV; they
    are scaled to sum to 1.
    """
    weights = read_json(path, "name a guide that data/guides holds").get("heads")
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
