"""The minimal-norm attack finds the exact radius of a linear classifier to 1 %."""

from typing import Any

import pytest
import torch
from scipy.optimize import brentq

from mmlib.attacks.core.region import Region
from mmlib.attacks.core.threat import (
    NORMS,
    Budget,
    Norm,
)
from mmlib.attacks.methods.apgd import apgd
from mmlib.attacks.methods.minimal import minimal, minimal_radius
from mmlib.batch import Batch
from tests.attacks import toys

FULL = {"linf": 0.5, "l2": 3.0, "l1": 12.0}


class TwoClasses:
    """Class 0 while the linear score stays above a threshold, a small way below the clips'."""

    def __init__(self, below: float) -> None:
        self.linear = toys.Linear()
        self.threshold = float(self.linear(toys.batch()).min()) - below

    def __call__(self, inputs: Batch) -> torch.Tensor:
        score = self.linear(inputs) - self.threshold
        return torch.cat([score, torch.zeros_like(score)], 1)


def exact(model: TwoClasses, clip: int, norm: Norm, modalities: tuple[str, ...]) -> float:
    inputs = toys.batch()
    margin = float(model(inputs)[clip, 0])

    def left(factor: float) -> float:
        return margin - sum(
            toys.optimum(
                -model.linear.weights[name].numpy(),
                inputs[name][clip].numpy(),
                Budget(1, norm),
                factor * FULL[norm],
            )
            for name in modalities
        )

    return float(brentq(left, 0, 1)) if left(1) < 0 else float("inf")


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("modalities", [("audio",), ("audio", "video")])
def test_exact_radius(norm: Norm, modalities: tuple[str, ...]) -> None:
    model, inputs = TwoClasses(below=0.5), toys.batch()
    threat = {name: Budget(FULL[norm], norm) for name in modalities}
    labels = torch.zeros(toys.CLIPS, dtype=torch.long)
    found = minimal_radius(model, inputs, labels, threat, tolerance=0.005, steps=10)
    expected = [exact(model, clip, norm, modalities) for clip in range(toys.CLIPS)]
    assert any(radius < 1 for radius in expected)
    assert found.radius.tolist() == pytest.approx(expected, rel=0.01)
    assert bool((found.radius >= torch.tensor(expected) * (1 - 1e-4)).all())
    broken = model(found.batch)[:, 0] < 0
    assert broken.tolist() == [radius < 1 for radius in expected]
    for name in modalities:
        size = Region(inputs[name], threat[name], None, name).size(found.batch[name])
        within = size <= found.radius.clamp_max(1) * FULL[norm] * (1 + 1e-6)
        assert bool(within.all())


def test_broken_clips_have_radius_zero_and_sturdy_ones_none() -> None:
    inputs, labels = toys.batch(), torch.zeros(toys.CLIPS, dtype=torch.long)
    threat = {"audio": Budget(0.01)}
    wrong = minimal_radius(TwoClasses(below=-1e4), inputs, labels, threat, steps=2)
    assert wrong.radius.tolist() == [0.0] * toys.CLIPS
    sturdy = minimal_radius(TwoClasses(below=1e4), inputs, labels, threat, steps=2)
    assert sturdy.radius.tolist() == [float("inf")] * toys.CLIPS
    for found in (wrong, sturdy):
        assert torch.equal(found.batch["audio"], inputs["audio"])


def test_curve_agrees_with_attacks_at_fixed_budgets() -> None:
    """Where PGD at a budget breaks a multi-label clip, its radius is not above that budget."""
    net, inputs = toys.Net(), toys.batch()
    with torch.no_grad():
        labels = torch.zeros(toys.CLIPS, 4).scatter(1, net(inputs).argmax(1, keepdim=True), 1.0)
    threat = {"audio": Budget(0.2), "video": Budget(0.2)}
    found = minimal_radius(net, inputs, labels, threat, steps=20, seeds=range(toys.CLIPS))
    assert bool((found.radius > 0).all())
    for factor in (0.1, 0.3, 0.6, 1.0):
        budget = {name: Budget(0.2 * factor) for name in threat}
        attacked = apgd(net, inputs, labels, budget, loss="top", steps=30)
        broken = net(attacked).argmax(1) != labels.argmax(1)
        assert bool((found.radius[broken] <= factor * 1.03).all())


def test_same_signature_as_the_other_attacks() -> None:
    model, labels = TwoClasses(below=0.5), torch.zeros(toys.CLIPS, dtype=torch.long)
    threat = {"audio": Budget(0.5)}
    settings: Any = {"seeds": 1, "attack": apgd, "steps": 10, "tolerance": 0.02}
    found = minimal(model, toys.batch(), labels, threat, **settings)
    again = minimal_radius(model, toys.batch(), labels, threat, **settings)
    assert torch.equal(found["audio"], again.batch["audio"])
