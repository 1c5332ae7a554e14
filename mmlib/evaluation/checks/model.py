"""Checks of the attacked model itself, on a few clips: would an attack's failure mean anything?

`model` is any callable from a batch to logits, as attacks take it.
"""

from math import inf

import torch
from torch import Tensor

from mmlib.attacks.core.losses import (
    Loss,
    resolve,
)
from mmlib.attacks.core.threat import (
    Threat,
    scaled,
)
from mmlib.attacks.methods.pgd import pgd
from mmlib.batch import Batch, Forward, is_waveform, present
from mmlib.evaluation.checks.outcome import (
    Outcome,
    graded,
)

_DIRECTIONS = 4
_REACHES = (0.01, 0.003, 0.001, 0.0003)
"""Half-widths of the finite differences, in units of full scale, largest first."""
_FAINT = (0.0001, 0.00003)
"""Further ones for waveforms, most of which lie below a tenth of full scale; the demo's nets agree
to 0.33 at 0.0003, to 0.18 at 0.0001 and to 0.02 at 0.000003."""
_CLOSE = 0.25
"""Relative differences of slopes up to this count as agreement."""


def check_model(
    model: Forward, batch: Batch, labels: Tensor, threat: Threat, loss: str | Loss
) -> list[Outcome]:
    """Run every check of this module; the threat names the modalities and their budgets."""
    return [
        logits_not_probabilities(model, batch),
        deterministic_forward(model, batch),
        zero_or_nan_gradient(model, batch, labels, threat, loss),
        gradient_flow(model, batch, labels, threat, loss),
        eps0_equals_clean(model, batch, labels, threat, loss),
    ]


def logits_not_probabilities(model: Forward, batch: Batch) -> Outcome:
    """Refuse outputs that all lie in [0, 1], of softmax or sigmoid: losses on logits saturate."""
    name = "logits_not_probabilities"
    outputs = _outputs(model, batch)
    low, high = float(outputs.min()), float(outputs.max())
    if not bool(torch.isfinite(outputs).all()):
        return Outcome(name, "fail", "some outputs of the clean clips are not finite")
    if low < 0 or high > 1:
        return Outcome(name, "pass", f"outputs range from {low:.2f} to {high:.2f}")
    summed = bool(((outputs.sum(1) - 1).abs() < 1e-3).all())
    kind = "sum to 1, as after a softmax" if summed else "lie in [0, 1], as after a sigmoid"
    return Outcome(name, "fail", f"all outputs {kind}: attack the logits instead")


def deterministic_forward(model: Forward, batch: Batch) -> Outcome:
    """Fail when the same clips twice give different logits: a random model fools a gradient."""
    name = "deterministic_forward"
    gap = float((_outputs(model, batch) - _outputs(model, batch)).abs().max())
    if gap == 0:
        return Outcome(name, "pass", "two passes over the same clips give identical logits")
    return Outcome(
        name, "fail", f"two passes over the same clips differ by {gap:.3g}: average over draws"
    )


def zero_or_nan_gradient(
    model: Forward, batch: Batch, labels: Tensor, threat: Threat, loss: str | Loss
) -> Outcome:
    """Count clips whose gradient is zero throughout or not finite: over 1 % warns, over 10 % fails.

    For each modality among the clips that have it; the worst modality decides.
    """
    gradients = _gradients(model, batch, labels, threat, loss)
    shares = {}
    for modality, gradient in gradients.items():
        flat = gradient.flatten(1)
        dead = (flat == 0).all(1) | ~torch.isfinite(flat).all(1)
        there = present(batch, modality)
        shares[modality] = float(dead[there].float().mean()) if bool(there.any()) else 0.0
    found = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
    message = f"clips without a usable gradient: {found}"
    return graded("zero_or_nan_gradient", max(shares.values()), 0.01, 0.1, message)


def gradient_flow(
    model: Forward, batch: Batch, labels: Tensor, threat: Threat, loss: str | Loss
) -> Outcome:
    """Compare autograd with central differences of the loss along random sign directions.

    The first step is large, 0.01 of full scale: there the loss of a model that rounds its input or
    hides its gradient otherwise moves although its gradient says it does not. A curved loss differs
    there too, so smaller steps follow until they agree; no step helps a masked gradient. The
    relative difference over clips and directions warns above 0.25 and fails above 0.75; the worst
    modality decides.
    """
    resolved = resolve(loss)
    gradients = _gradients(model, batch, labels, threat, loss)
    errors: dict[str, float] = {}
    reaches: dict[str, float] = {}
    for modality, gradient in gradients.items():
        faint = modality == "audio" and is_waveform(batch[modality])
        for reach in (*_REACHES, *(_FAINT if faint else ())):
            error = _difference(model, batch, labels, resolved, modality, gradient, reach)
            if error is None and modality in errors:
                continue  # too small a step for a masked loss to move says nothing
            error = error or 0.0
            if not error >= errors.get(modality, inf):
                errors[modality], reaches[modality] = error, reach
            if error <= _CLOSE:
                break
    found = ", ".join(
        f"{name} {error:.2f} (steps of {reaches[name]:g})" for name, error in errors.items()
    )
    message = f"autograd against finite differences, relative difference: {found}"
    worst = max(errors.values(), key=lambda error: inf if error != error else error)
    return graded("gradient_flow", worst, _CLOSE, 0.75, message)


def _difference(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    loss: Loss,
    modality: str,
    gradient: Tensor,
    reach: float,
) -> float | None:
    """||measured - claimed|| / max(||measured||, ||claimed||) of the slopes along directions.

    None where the loss neither moves nor claims to.
    """
    generator = torch.Generator().manual_seed(0)
    clean = batch[modality].detach()
    measured, claimed = [], []
    for _ in range(_DIRECTIONS):
        signs = torch.randint(0, 2, clean.shape[1:], generator=generator).to(clean) * 2 - 1
        ahead, behind = (
            loss(_outputs(model, {**batch, modality: clean + step * signs}), labels)
            for step in (reach, -reach)
        )
        measured.append((ahead - behind).double() / (2 * reach))
        claimed.append((gradient.double() * signs).flatten(1).sum(1))
    there = present(batch, modality)
    truth, claim = torch.stack(measured)[:, there], torch.stack(claimed)[:, there]
    scale = torch.maximum(truth.norm(), claim.norm())
    return float((truth - claim).norm() / scale) if float(scale) != 0 else None


def eps0_equals_clean(
    model: Forward, batch: Batch, labels: Tensor, threat: Threat, loss: str | Loss
) -> Outcome:
    """An attack of budget 0 must return the clean clips, exactly."""
    found = pgd(model, batch, labels, scaled(threat, 0.0), steps=2, loss=loss)
    changed = [name for name in threat if not torch.equal(found[name], batch[name])]
    if changed:
        return Outcome(
            "eps0_equals_clean", "fail", f"a budget of 0 changed the clips' {', '.join(changed)}"
        )
    return Outcome("eps0_equals_clean", "pass", "a budget of 0 changes nothing")


def _outputs(model: Forward, batch: Batch) -> Tensor:
    with torch.no_grad():
        return model(batch)


def _gradients(
    model: Forward, batch: Batch, labels: Tensor, threat: Threat, loss: str | Loss
) -> dict[str, Tensor]:
    """The gradients as autograd gives them, unlike those of an attack, which mends them."""
    leaves = {name: batch[name].detach().clone().requires_grad_() for name in threat}
    with torch.enable_grad():
        total = resolve(loss)(model({**batch, **leaves}), labels).sum()
        if total.grad_fn is None:
            return {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
        gradients = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    return {
        name: torch.zeros_like(leaf) if gradient is None else gradient.detach()
        for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True)
    }
