"""Attackers of one and of two modalities, compared at one total budget and at equal damage."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from mmlib.metrics.scores.conditions import RunScore
from mmlib.metrics.scores.surface import Surface
from mmlib.runtime.storage import rounded
from mmlib.threats import MODALITIES, THREATS


def matched_total(surface: Surface) -> dict[str, Any]:
    """mAP left by attackers whose total is one headline budget, and by the paper's, who has two.

    The total of a change is the sum over modalities of the share that it takes of the modality's
    own budget [choice]: A spends (1, 0), V (0, 1), `halved` (1/2, 1/2), and `shared` splits it
    anew for each clip; `shared_audio` and `shared_video` say how, on average. For l2 the shared
    attacker is held to the root of the sum of squares instead. AV spends (1, 1), a total of 2.
    """
    values, axis = surface.values, surface.axis
    one = axis.index(1.0)
    found = {
        name: values[tuple(one if part in attacked else 0 for part in MODALITIES)]
        for name, attacked in THREATS.items()
    }
    if 0.5 in axis:
        half = axis.index(0.5)
        found["halved"] = values[half, half]
    found |= {"shared": surface.shared.estimate}
    found |= dict(zip(("shared_audio", "shared_video"), surface.spent, strict=True))
    return {name: rounded(float(value)) for name, value in found.items()}


def equal_damages(scores: RunScore) -> dict[str, Any]:
    """The multiple of its headline budget that each threat needs for the damage of another.

    "as_A": {"V": 2.5}: V must be allowed 2.5 times the headline budget to leave the mAP that A
    leaves at 1; null where no budget of the sweep does. Interpolated between budgets.
    """
    clean = scores.clean.figures["mAP"]
    curves = {
        threat: [(multiple, score.figures["mAP"]) for multiple, score in curve.items()]
        for threat, curve in scores.attacked.items()
    }
    return {
        f"as_{threat}": {
            other: _rounded(
                equal_damage(clean, scores.headline(threat).figures["mAP"], curves[other])
            )
            for other in curves
            if other != threat
        }
        for threat in curves
        if len(curves) > 1
    }


def equal_damage(
    clean: float, reference: float, curve: Sequence[tuple[float, float]]
) -> float | None:
    """The multiple at which a curve of (multiple, mAP) comes down to `reference`.

    Linear between neighbours, from (0, clean) on; None where it stays above.
    """
    points = [(0.0, clean), *sorted(curve)]
    for (start, before), (end, after) in pairwise(points):
        if before >= reference >= after:
            share = (before - reference) / (before - after) if before > after else 0.0
            return start + share * (end - start)
    return None


def _rounded(value: float | None) -> float | None:
    return None if value is None else rounded(value)
