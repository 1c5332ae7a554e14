"""Smoothed runs: closed forms on linear models, the noise of a clip, attacks beside."""

import numpy as np
import pytest
import torch

from mmlib.attacks.core.threat import Budget, scaled
from mmlib.attacks.methods.pgd import pgd
from mmlib.batch import Batch
from mmlib.evaluation.certify.smoothed import BLOCK, Expected, Smoothing
from mmlib.evaluation.certify.units import Unit
from mmlib.metrics.smoothing import decide, largest_reach
from mmlib.params.certify import Noise
from mmlib.threats import THREATS
from tests.evaluation.certify.linear import SHAPES, THRESHOLDS, Linear, clips, one
from tests.sweep_toys import settings

DRAWS, ALPHA = 10_000, 0.001


def shown(model: Linear, smoothing: Smoothing, batch: Batch, draws: int) -> np.ndarray:
    return torch.stack(
        [
            smoothing.shown(model, one(batch, row), f"clip-{row}", THRESHOLDS, "bound", draws)
            for row in range(len(batch["audio"]))
        ]
    ).numpy()


@pytest.mark.parametrize("threat", ["A", "AV"])
def test_a_linear_model_s_radius_is_within_five_percent_of_its_exact_one(threat: str) -> None:
    """With sigma such that it lies well within what the draws can certify."""
    model, batch = Linear(3), clips(8)
    ones = dict.fromkeys(THREATS[threat], 1.0)
    sigma = {name: float(model.reach(batch, ones).median()) / 1.6 for name in ones}
    exact = model.reach(batch, sigma).numpy()
    hits = shown(model, Smoothing(sigma, 0), batch, DRAWS)
    found = decide(hits, DRAWS, hits, DRAWS, ALPHA)
    assert ((model(batch) > 0).numpy() == found.shown)[exact > 0.1].all(), "smoothing keeps them"
    within = (exact > 1) & (exact < 2.25)
    assert within.sum() >= 6
    error = 1 - found.reach[within] / exact[within]
    assert error.mean() < 0.05
    assert error.max() < 0.1
    assert error.min() > 0


def test_a_model_that_ignores_sound_has_the_largest_reach_on_it() -> None:
    hits = shown(Linear(5, reads=("video",)), Smoothing({"audio": 0.3}, 0), clips(3), 200)
    assert set(hits.ravel().tolist()) <= {0, 200}
    found = decide(hits, 200, hits, 200, ALPHA)
    assert found.reach.ravel().tolist() == pytest.approx([largest_reach(200, ALPHA)] * 9)


def test_the_noise_of_a_clip_depends_on_nothing_but_the_clip() -> None:
    smoothing = Smoothing({"audio": 0.1, "video": 0.2}, seed=7)
    first = smoothing.draws("a", "bound", 0, SHAPES)
    assert {name: len(part) for name, part in first.items()} == {"audio": BLOCK, "video": BLOCK}
    again = Smoothing({"audio": 0.1}, seed=7).draws("a", "bound", 0, SHAPES)
    assert torch.equal(first["audio"], again["audio"]), "threats A and AV meet the same noise"
    twice = Smoothing({"audio": 0.2}, seed=7).draws("a", "bound", 0, SHAPES)
    torch.testing.assert_close(2 * first["audio"], twice["audio"])
    others = [
        smoothing.draws(clip, purpose, block, SHAPES)["audio"]
        for clip, purpose, block in (("b", "bound", 0), ("a", "choose", 0), ("a", "bound", 1))
    ]
    assert not any(torch.equal(first["audio"], other) for other in others)
    assert float(first["video"].std()) == pytest.approx(0.2, rel=0.05)
    model, batch = Linear(1), clips(2)
    one_by_one = [
        torch.cat(list(smoothing.logits(model, one(batch, 1), "b", "bound", draws)))
        for draws in (10, BLOCK + 5)
    ]
    assert [len(part) for part in one_by_one] == [10, BLOCK + 5]
    assert torch.equal(one_by_one[0], one_by_one[1][:10]), "more draws go on from fewer"


def attacked(model: Linear, batch: Batch, threat: dict[str, Budget], smoothing: Smoothing) -> Batch:
    """Every clip's first decision attacked."""
    expected = Expected(model, THRESHOLDS, tuple(threat), 16)
    side = torch.where(model(batch)[:, 0] > 0, -1.0, 1.0)
    carried = smoothing.carried(batch, [f"clip-{row}" for row in range(len(side))], 16)

    def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return side * logits[:, 0]

    start = {name: batch[name] for name in threat}
    found = pgd(expected, carried, side[:, None], threat, steps=8, loss=loss, start=start)
    return {name: found[name] for name in batch}


def test_the_attack_turns_just_what_lies_within_the_exact_radius() -> None:
    """On a linear model certificate and attack meet: none below the exact radius, all above it."""
    model, batch, sigma = Linear(4), clips(6), {"audio": 0.01, "video": 0.004}
    smoothing = Smoothing(sigma, 1)
    reach = model.reach(batch, sigma)[:, 0]
    decisions = model(batch)[:, 0] > 0
    # The change that turns it soonest spends each modality as its weights and sigma say.
    spent = {name: sigma[name] ** 2 * model.weights[name][0].flatten().norm() for name in sigma}
    length = torch.stack([spent[name] / sigma[name] for name in sigma]).norm()
    exact = {name: Budget(reach * spent[name] / length, "l2", -9, 9) for name in sigma}
    for factor, kept in ((0.9, True), (1.1, False)):
        found = attacked(model, batch, scaled(exact, factor), smoothing)
        after = shown(model, smoothing, found, 600)[:, 0] > 300
        assert ((after == decisions.numpy()) == kept).all(), factor


def test_expected_log_odds_are_above_zero_where_most_draws_show_the_class() -> None:
    model, batch = Linear(2), clips(5)
    smoothing = Smoothing({"audio": 0.01}, 0)
    carried = smoothing.carried(batch, ["a", "b", "c", "d", "e"], 40)
    assert carried["audio_noise"].shape == (5, 40, *SHAPES["audio"])
    logits = Expected(model, THRESHOLDS, ("audio",), 40)(carried)
    # With little noise the mean is the clean margin, nearly.
    torch.testing.assert_close(logits, model(batch), atol=0.01, rtol=0.01)


@pytest.mark.parametrize("threat", ["A", "V", "AV"])
def test_a_budget_s_reach_is_that_of_its_longest_change(threat: str) -> None:
    sigma = Noise(audio=0.1, video=0.4)
    attack = settings(scale={"audio": 0.5, "video": 2.0})
    unit = Unit.of(threat, sigma, attack, SHAPES)
    eps, longest = 0.03, 0.0
    for name in THREATS[threat]:
        delta = torch.full(SHAPES[name], eps * getattr(attack.scale, name))
        longest += float((delta / getattr(sigma, name)).square().sum())
    assert unit.reach(eps) == pytest.approx(longest**0.5)
    assert unit.eps(unit.reach(eps)) == pytest.approx(eps)
    if threat == "AV":
        assert unit.l2(1.5) is None
    else:
        assert unit.l2(1.5) == pytest.approx(1.5 * getattr(sigma, THREATS[threat][0]))
