"""Square attack: optimal on linear models, works where gradients are masked."""

import pytest
import torch

from mmlib.attacks.core.losses import bce
from mmlib.attacks.core.threat import (
    NORMS,
    Budget,
    Norm,
)
from mmlib.attacks.methods.pgd import pgd
from mmlib.attacks.methods.square import square
from mmlib.batch import Batch
from tests.attacks import toys

EPS = {"linf": 0.2, "l2": 0.6, "l1": 2.0}


@pytest.mark.parametrize("norm", NORMS)
def test_reaches_the_linear_optimum(norm: Norm) -> None:
    model, budget = toys.Linear(), Budget(EPS[norm], norm)
    inputs = toys.batch()
    found = square(
        model, inputs, toys.labels(), {"audio": budget}, loss=toys.first_logit, queries=2500
    )
    for clip in range(toys.CLIPS):
        change = (found["audio"][clip] - inputs["audio"][clip]).double()
        gained = float((change * model.weights["audio"].double()).sum())
        best = toys.optimum(
            model.weights["audio"].numpy(), inputs["audio"][clip].numpy(), budget, EPS[norm]
        )
        # Gaussian steps creep up to a smooth optimum; corners are hit exactly.
        assert gained == pytest.approx(best, rel=0.02 if norm == "l2" else 1e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_joint_attack_searches_both_modalities(norm: Norm) -> None:
    net, inputs, labels = toys.Net(), toys.batch(), toys.labels()
    threat = {name: Budget(EPS[norm], norm) for name in inputs}
    found = square(net, inputs, labels, threat, queries=400)
    for name in threat:
        assert bool((found[name] != inputs[name]).flatten(1).any(1).all())


def test_breaks_a_model_that_masks_its_gradient() -> None:
    net, inputs, labels = toys.Net(), toys.batch(), toys.labels()
    threat = {name: Budget(0.2) for name in inputs}

    def masked(batch: Batch) -> torch.Tensor:
        """Rounded inputs: the gradient is zero everywhere."""
        logits: torch.Tensor = net({name: (16 * x).round() / 16 for name, x in batch.items()})
        return logits

    def damage(batch: Batch) -> float:
        with torch.no_grad():
            return float(bce(masked(batch), labels).mean())

    by_gradient = damage(pgd(masked, inputs, labels, threat, steps=10))
    by_search = damage(square(masked, inputs, labels, threat, queries=500))
    assert by_search > by_gradient + 0.3


def test_waveforms_have_one_axis() -> None:
    wave = {"audio": torch.rand(3, 50, generator=torch.Generator().manual_seed(0))}
    weight = torch.randn(50, generator=torch.Generator().manual_seed(1))

    def model(batch: Batch) -> torch.Tensor:
        return (batch["audio"] * weight).sum(1, keepdim=True)

    found = square(
        model, wave, torch.zeros(3, 1), {"audio": Budget(0.1)}, loss=toys.first_logit, queries=300
    )
    assert bool((model(found) > model(wave) + 1).all())
