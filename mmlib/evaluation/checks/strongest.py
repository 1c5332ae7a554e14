"""Checks that an attack returns the strongest it has seen: of its path, and of all attacks."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from mmlib.attacks.core.losses import (
    Loss,
    resolve,
)
from mmlib.attacks.core.threat import Threat
from mmlib.batch import Batch, Forward
from mmlib.evaluation.checks.outcome import Outcome

_ROUNDING = 1e-5
"""Losses this close, in multiples of 1 + their size, count as equal: batches round differently."""


def silent_success(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    loss: str | Loss,
    attack: Callable[..., Batch],
    **settings: Any,
) -> Outcome:
    """Watch every point that the attack evaluates: it must return each clip's best, not the last.

    `settings` go to the attack; long constant steps make a path whose last point is seldom best.
    """
    resolved = resolve(loss)
    passed: list[Tensor] = []

    def watched(inputs: Batch) -> Tensor:
        logits = model(inputs)
        passed.append(resolved(logits.detach(), labels))
        return logits

    found = attack(watched, batch, labels, threat, loss=loss, **settings)
    with torch.no_grad():
        returned = resolved(model(found), labels)
    best = torch.stack(passed).amax(0)
    short = best - returned > _ROUNDING * (1 + best.abs())
    message = f"the best of {len(passed)} points per clip was returned"
    if bool(short.any()):
        gap = float((best - returned).max())
        message = (
            f"on {int(short.sum())} of {len(labels)} clips the path passed a point whose loss was"
            f" higher than that of the one returned, by up to {gap:.3g}"
        )
    return Outcome("silent_success", "fail" if bool(short.any()) else "pass", message)


def worst_case_of_set(
    chosen: Mapping[str, float], others: Mapping[str, Mapping[str, float]]
) -> Outcome:
    """No stored attack within the same budget may leave the set a lower mAP than the scored one.

    `chosen`: condition -> the mAP that is scored; `others`: the same condition -> attack -> mAP.
    """
    name = "worst_case_per_clip"
    gaps = {
        f"{attack} under {condition}": chosen[condition] - score
        for condition, rivals in others.items()
        for attack, score in rivals.items()
    }
    worst = max(gaps, key=lambda key: gaps[key], default="")
    if worst and gaps[worst] > _ROUNDING:
        return Outcome(name, "fail", f"{worst} leaves {gaps[worst]:.4f} less mAP than is scored")
    return Outcome(name, "pass", f"none of {len(gaps)} attacks leaves the set a lower mAP")


def worst_case_per_clip(
    chosen: Mapping[str, Tensor], others: Mapping[str, Mapping[str, Tensor]]
) -> Outcome:
    """No clip's loss, (N,), may lie below what any attack within the same budget did to it.

    `chosen`: condition -> the losses that are scored; `others`: the same condition -> attack ->
    losses.
    """
    name = "worst_case_per_clip"
    weaker: dict[str, int] = {}
    compared = 0
    for condition, losses in chosen.items():
        for attack, rivals in others.get(condition, {}).items():
            compared += 1
            below = ~(rivals - losses <= _ROUNDING * (1 + rivals.abs()))
            if bool(below.any()):
                weaker[f"{attack} under {condition}"] = int(below.sum())
    if weaker:
        worst = max(weaker, key=lambda key: weaker[key])
        return Outcome(
            name, "fail", f"{worst} is stronger than the scored attack on {weaker[worst]} clips"
        )
    return Outcome(name, "pass", f"none of {compared} attacks does more damage to any clip")
