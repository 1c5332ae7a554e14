"""Which breaks first, the part or the whole: counts, their interval, and the rows behind them."""

import csv
import io
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmlib.metrics.intervals import clopper_pearson

_DECIMALS = 6


class Radii(NamedTuple):
    """One modality attacked in two models: radii in multiples of attack.eps, (N,) float64.

    0: broken when clean; inf: not broken up to theorem.reach.
    """

    clip_ids: tuple[str, ...]
    alone: NDArray[np.float64]
    fused: NDArray[np.float64]


def compare(radii: Radii, tolerance: float, confidence: float) -> dict[str, Any]:
    """Count the clips where fusion breaks first, with a Clopper-Pearson interval of their share.

    Only clips that both models get right when clean count. A model breaks first when its radius is
    smaller by more than `tolerance` of the other's, the precision of the search; clips that neither
    attack broke count as equal.
    """
    counted = (radii.alone > 0) & (radii.fused > 0)
    alone, fused = radii.alone[counted], radii.fused[counted]
    first = int((fused < (1 - tolerance) * alone).sum())
    later = int((alone < (1 - tolerance) * fused).sum())
    count = int(counted.sum())
    lo, hi = (float(end) for end in clopper_pearson(first, count, confidence))
    return {
        "clips": len(radii.clip_ids),
        "wrong_when_clean": int(len(radii.clip_ids) - count),
        "counted": count,
        "fused_first": first,
        "alone_first": later,
        "equal": count - first - later,
        "neither_broken": int((np.isinf(alone) & np.isinf(fused)).sum()),
        "share": _number(first / count) if count else None,
        "share_lo": _number(lo),
        "share_hi": _number(hi),
        "median_radius_alone": _number(float(np.median(alone))) if count else None,
        "median_radius_fused": _number(float(np.median(fused))) if count else None,
    }


def radii_csv(found: Mapping[str, Radii]) -> str:
    """data/theorem.csv: one row per clip and threat; `inf` where no radius within reach broke it.

    Columns: clip_id, threat, radius_alone, radius_fused, in multiples of attack.eps.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("clip_id", "threat", "radius_alone", "radius_fused"))
    for threat, radii in found.items():
        for clip_id, alone, fused in zip(*radii, strict=True):
            writer.writerow((clip_id, threat, f"{alone:.6g}", f"{fused:.6g}"))
    return stream.getvalue()


def _number(value: float) -> float | None:
    """Six decimals, None where JSON has no number for it."""
    return round(value, _DECIMALS) if math.isfinite(value) else None
