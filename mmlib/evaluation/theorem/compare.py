"""Which breaks first, the part or the whole: counts, their interval, and the rows behind them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from mmlib.metrics.intervals import share_interval
from mmlib.runtime.arrays import Floats
from mmlib.runtime.storage import csv_text, rounded, significant


class Radii(NamedTuple):
    """One modality attacked in two models: radii in multiples of attack.eps, (N,) float64.

    0: broken when clean; inf: not broken up to theorem.search.reach.
    """

    clip_ids: tuple[str, ...]
    alone: Floats
    fused: Floats


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
    share = share_interval(first, count, confidence, "exact")
    return {
        "clips": len(radii.clip_ids),
        "wrong_when_clean": int(len(radii.clip_ids) - count),
        "counted": count,
        "fused_first": first,
        "alone_first": later,
        "equal": count - first - later,
        "neither_broken": int((np.isinf(alone) & np.isinf(fused)).sum()),
        "share": rounded(share.estimate),
        "share_lo": rounded(share.lo),
        "share_hi": rounded(share.hi),
        "median_radius_alone": rounded(float(np.median(alone))) if count else None,
        "median_radius_fused": rounded(float(np.median(fused))) if count else None,
    }


def radii_csv(found: Mapping[str, Radii]) -> str:
    """data/theorem/<run>.csv: one row per clip and threat; `inf`: not broken within reach.

    Columns: clip_id, threat, radius_alone, radius_fused, in multiples of attack.eps.
    """
    rows = (
        (clip_id, threat, significant(alone), significant(fused))
        for threat, radii in found.items()
        for clip_id, alone, fused in zip(*radii, strict=True)
    )
    return csv_text(("clip_id", "threat", "radius_alone", "radius_fused"), rows)
