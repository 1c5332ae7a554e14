"""Models whose answer is known, attacked beside each run: does the measuring tool itself work?"""

import torch
from torch import Tensor

from mmlib.attacks.core.threat import (
    Budget,
    Norm,
)
from mmlib.attacks.methods.minimal import minimal_radius
from mmlib.batch import Batch, Forward
from mmlib.evaluation.checks import model as model_checks
from mmlib.evaluation.checks.outcome import Outcome

_CLIPS, _SIZE = 8, 32
_TOLERANCE = 0.01
_FULL = {"linf": 0.05, "l2": 0.3, "l1": 0.5}
"""Budgets that surely break the linear control and that its box leaves room for."""


def known_weak_control(norm: Norm) -> Outcome:
    """Break a linear model at its closed-form radius, to 1 %; and detect masked gradients.

    The radius is margin / dual norm of the weights. The second control rounds its input: its
    gradient is zero though its output moves, and gradient_flow must fail on it.
    """
    name = "known_weak_control"
    weights, batch = _problem()
    labels = torch.zeros(_CLIPS, dtype=torch.long)
    found = minimal_radius(
        linear(weights), batch, labels, {"audio": Budget(_FULL[norm], norm)}, tolerance=0.005
    )
    exact = closed_form_radius(weights, batch["audio"], norm) / _FULL[norm]
    error = float(((found.radius - exact) / exact).abs().max())
    masked = model_checks.gradient_flow(
        rounding(linear(weights)), batch, labels, {"audio": Budget(0.02)}, "top"
    )
    faults = []
    if not error <= _TOLERANCE:
        faults.append(f"a linear model broke {100 * error:.1f} % off its closed-form radius")
    if masked.status != "fail":
        faults.append("masked gradients were not detected")
    message = "; ".join(faults) or (
        f"a linear model broke within {100 * error:.2f} % of its closed-form radius; masked"
        " gradients were detected"
    )
    return Outcome(name, "fail" if faults else "pass", message)


def linear(weights: Tensor) -> Forward:
    """Two classes: class 0 scores weights · x + 0.5, class 1 scores 0."""

    def model(batch: Batch) -> Tensor:
        score = (batch["audio"] - 0.5) @ weights + 0.5
        return torch.stack([score, torch.zeros_like(score)], 1)

    return model


def rounding(model: Forward) -> Forward:
    """The model behind a rounding of its input, which has no gradient."""

    def rounded(batch: Batch) -> Tensor:
        return model({name: (64 * value).round() / 64 for name, value in batch.items()})

    return rounded


def closed_form_radius(weights: Tensor, clean: Tensor, norm: Norm) -> Tensor:
    """The exact distance (B,) to the boundary of `linear`, where the box is out of reach."""
    margin = ((clean.double() - 0.5) @ weights.double()) + 0.5
    dual = {"linf": 1, "l2": 2, "l1": torch.inf}[norm]
    radius: Tensor = margin / torch.linalg.vector_norm(weights.double(), dual)
    return radius


def _problem() -> tuple[Tensor, Batch]:
    """Weights of one largest element (for l1, one element is enough), and clips mid-box."""
    generator = torch.Generator().manual_seed(0)
    weights = 0.3 + 0.7 * torch.rand(_SIZE, generator=generator)
    weights = weights * (torch.randint(0, 2, (_SIZE,), generator=generator) * 2 - 1)
    weights[0] = 4.0
    clips = 0.5 + 0.04 * (torch.rand(_CLIPS, _SIZE, generator=generator) - 0.5)
    return weights, {"audio": clips}
