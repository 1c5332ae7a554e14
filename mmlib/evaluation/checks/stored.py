"""Checks of what an attack stored: budgets measured again, examples scored again."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmlib.attacks.core.region import ORDERS
from mmlib.attacks.core.threat import Threat
from mmlib.batch import Batch, Forward, present
from mmlib.evaluation.checks.outcome import Outcome

_SLACK = 1e-6


def budget_exact(clean: Batch, adversarial: Batch, threat: Threat) -> Outcome:
    """Every clip within eps (1 + 1e-6) and the box, finite, float32; other inputs unchanged.

    Measured in float64, by plain arithmetic and not by the attacks' own region.
    """
    faults = []
    used = 0.0
    for name, budget in threat.items():
        before, after = clean[name], adversarial[name]
        if after.dtype != torch.float32 or not bool(torch.isfinite(after).all()):
            faults.append(f"{name} is not finite float32")
            continue
        change = (after.double() - before.double()).flatten(1)
        norms = torch.linalg.vector_norm(change, ORDERS[budget.norm], dim=1)
        radius = torch.as_tensor(budget.eps, dtype=torch.float64, device=norms.device)
        share = float((norms / radius.clamp_min(1e-300)).max())
        used = max(used, share)
        if share > 1 + _SLACK:
            faults.append(f"{name} is at {share:.6f} of its {budget.norm} budget")
        if float(after.double().min()) < budget.low or float(after.double().max()) > budget.high:
            faults.append(f"{name} leaves the box [{budget.low:g}, {budget.high:g}]")
        absent = ~present(clean, name)
        if bool((change[absent] != 0).any()):
            faults.append(f"{name} was changed in clips that lack it")
    for name, tensor in clean.items():
        if name not in threat and not torch.equal(adversarial[name], tensor):
            faults.append(f"{name} was changed outside the threat")
    if faults:
        return Outcome("budget_exact", "fail", "; ".join(faults))
    return Outcome("budget_exact", "pass", f"largest share of a budget spent: {used:.7f}")


def norms_within(norms: Mapping[str, Sequence[float]], radii: Mapping[str, float]) -> Outcome:
    """The norms stored for each clip against the radius of its budget; keys name the condition."""
    worst = {
        key: max(values) / radii[key] for key, values in norms.items() if values and radii[key] > 0
    }
    over = {key: share for key, share in worst.items() if share > 1 + _SLACK}
    if over:
        key = max(over, key=lambda k: over[k])
        return Outcome(
            "budget_exact", "fail", f"{len(over)} conditions over budget, {key} at {over[key]:.6f}"
        )
    most = max(worst.values(), default=0.0)
    return Outcome("budget_exact", "pass", f"largest share of a budget spent: {most:.7f}")


def reload_rescore(
    model: Forward, adversarial: Batch, scores: Tensor, *, batch_size: int, tolerance: float = 1e-4
) -> Outcome:
    """Score stored adversarial clips again at another batch size; the logits must agree.

    `tolerance` is in multiples of the largest logit's size.
    """
    clips = len(scores)
    with torch.no_grad():
        again = torch.cat(
            [
                model({name: value[at : at + batch_size] for name, value in adversarial.items()})
                for at in range(0, clips, batch_size)
            ]
        )
    gap = float((again - scores).abs().max() / scores.abs().max().clamp_min(1e-12))
    message = f"{clips} clips in batches of {batch_size}: largest relative difference {gap:.2g}"
    return Outcome("reload_rescore", "pass" if gap <= tolerance else "fail", message)
