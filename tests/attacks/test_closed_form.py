"""On linear models each attack reaches the optimum of its norm, box included, to 1e-5."""

from typing import Any

import pytest
import torch

from mmlib.attacks.core.search import Search
from mmlib.attacks.core.threat import (
    NORMS,
    Budget,
    Norm,
)
from mmlib.attacks.methods.apgd import apgd
from mmlib.attacks.methods.fgsm import fgsm
from mmlib.attacks.methods.mim import mim
from mmlib.attacks.methods.pgd import pgd
from tests.attacks import toys

ATTACKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "fgsm": (fgsm, {}),
    "pgd": (pgd, {"steps": 10, "restarts": 1}),
    "mim": (mim, {"steps": 10}),
    "apgd": (apgd, {"steps": 20}),
}
EPS = {"linf": 0.2, "l2": 0.9, "l1": 3.0}


@pytest.mark.parametrize("modalities", [("audio",), ("video",), ("audio", "video")])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ATTACKS)
def test_reaches_the_optimum(name: str, norm: Norm, modalities: tuple[str, ...]) -> None:
    attack, settings = ATTACKS[name]
    model, inputs = toys.Linear(scale=1e-3), toys.batch()
    threat = {modality: Budget(EPS[norm], norm) for modality in modalities}
    found = attack(model, inputs, toys.labels(), threat, loss=toys.first_logit, seeds=0, **settings)
    for clip in range(toys.CLIPS):
        best = sum(
            toys.optimum(
                model.weights[modality].numpy(), inputs[modality][clip].numpy(), budget, EPS[norm]
            )
            for modality, budget in threat.items()
        )
        gained = sum(
            float(
                (
                    (found[modality][clip].double() - inputs[modality][clip].double())
                    * model.weights[modality].double()
                ).sum()
            )
            for modality in threat
        )
        assert gained == pytest.approx(best, rel=1e-5)
        assert gained <= best * (1 + 1e-6)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ATTACKS)
def test_reaches_the_optimum_on_waveforms(name: str, norm: Norm) -> None:
    """(B, N) in the box [-1, 1], many samples at its edges as in a clipped recording."""
    attack, settings = ATTACKS[name]
    generator = torch.Generator().manual_seed(2)
    weights = 1e-3 * torch.randn(40, generator=generator)
    sound = (2 * torch.randn(toys.CLIPS, 40, generator=generator)).clamp(-1, 1)
    budget = Budget(EPS[norm], norm, low=-1.0, high=1.0)
    found = attack(
        lambda batch: (batch["audio"] @ weights)[:, None],
        {"audio": sound},
        toys.labels(),
        {"audio": budget},
        loss=toys.first_logit,
        seeds=0,
        **settings,
    )["audio"]
    gained = ((found.double() - sound.double()) * weights.double()).sum(1)
    for clip in range(toys.CLIPS):
        best = toys.optimum(weights.numpy(), sound[clip].numpy(), budget, EPS[norm])
        assert float(gained[clip]) == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgds_path_alone_climbs(norm: Norm) -> None:
    """Without the corner that ends an l2 path, plain steps still come close."""
    model, inputs = toys.Linear(), toys.batch()
    budget = Budget(EPS[norm], norm)
    search = Search(model, inputs, toys.labels(), {"video": budget}, toys.first_logit)
    points = search.random("start")
    for _ in range(60):
        _, gradients = search.gradients(points)
        points = search.ascend(points, gradients, 0.25)
    gained = ((points["video"] - inputs["video"]) * model.weights["video"]).flatten(1).sum(1)
    for clip in range(toys.CLIPS):
        best = toys.optimum(
            model.weights["video"].numpy(), inputs["video"][clip].numpy(), budget, EPS[norm]
        )
        assert float(gained[clip]) >= 0.99 * best
