"""Bounds on heads: exact where linear, sound behind a hidden layer, infinite where unread."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmlib.evaluation.certify.heads import head_radii
from mmlib.models.base import Model
from mmlib.threats import THREATS
from tests.sweep_toys import CLASSES, model

THRESHOLDS = torch.linspace(-0.5, 0.5, CLASSES)


def vectors(net: Model, seed: int, count: int = 4) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(count, net.shapes[name][0], generator=generator)
        for name in net.modalities
    }


def spread(net: Model, seed: int) -> Model:
    """Random weights and norms, so that no class is constant and no gain is 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in [*net.head.parameters(), *getattr(net, "hidden", net.head).parameters()]:
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return net


@pytest.mark.parametrize(("fusion", "threat"), [("late", "A"), ("late", "AV"), (None, "A")])
def test_a_linear_head_has_its_exact_radius(fusion: str | None, threat: str) -> None:
    """The move against the weights turns the decision just beyond the radius."""
    net = spread(model(fusion, video=fusion is not None), 1)
    clean = vectors(net, 2)
    radii = head_radii(net, clean, THRESHOLDS, threat)
    assert radii is not None
    margins = net.classify(clean) - THRESHOLDS
    dims = [net.shapes[name][0] for name in net.modalities]
    weights = dict(zip(net.modalities, torch.split(net.head.weight, dims, 1), strict=True))
    for k in range(CLASSES):
        joined = torch.cat([weights[name][k] for name in THREATS[threat]])
        for factor, same in ((0.99, True), (1.01, False)):
            step = -margins[:, k].sign() * radii[:, k].float() * factor / joined.norm()
            moved = {
                name: vector + step[:, None] * weights[name][k] * (name in THREATS[threat])
                for name, vector in clean.items()
            }
            after = (net.classify(moved) - THRESHOLDS)[:, k]
            assert ((after.sign() == margins[:, k].sign()) == same).all()


@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), threat=st.sampled_from(["A", "V", "AV"]))
def test_no_move_within_the_bound_turns_a_decision(seed: int, threat: str) -> None:
    """By gradients and at random; and the bound is not idle: some move of a few times it does."""
    net = spread(model("mid"), seed)
    clean = vectors(net, seed + 1)
    radii = head_radii(net, clean, THRESHOLDS, threat)
    assert radii is not None
    assert bool((radii > 0).all())
    side = (net.classify(clean) - THRESHOLDS).sign().detach()
    k = seed % CLASSES
    radius = radii[:, k].float() * 0.999
    for start in range(3):
        generator = torch.Generator().manual_seed(start)
        moves = {
            name: torch.randn(clean[name].shape, generator=generator) for name in THREATS[threat]
        }
        for _ in range(6):
            moves = _sized(moves, radius)
            leaves = {name: move.requires_grad_() for name, move in moves.items()}
            moved = {name: clean[name] + leaves.get(name, torch.tensor(0.0)) for name in clean}
            margins = side[:, k] * (net.classify(moved) - THRESHOLDS)[:, k]
            assert bool((margins > -1e-5).all())
            slopes = torch.autograd.grad(margins.sum(), list(leaves.values()))
            moves = {
                name: (leaf - 9 * slope).detach()
                for (name, leaf), slope in zip(leaves.items(), slopes, strict=True)
            }


def _sized(moves: dict[str, Tensor], radius: Tensor) -> dict[str, Tensor]:
    joined = torch.cat(list(moves.values()), 1).norm(dim=1)
    by = (radius / joined.clamp_min(1e-12))[:, None]
    return {name: (move * by).detach() for name, move in moves.items()}


def test_behind_a_hidden_layer_the_bound_nears_the_exact_radius_of_a_small_move() -> None:
    """A decision near its threshold: there the layer is linear, and so is the bound."""
    net = spread(model("mid"), 3)
    clean = vectors(net, 4, 1)
    logits = net.classify(clean).detach()[0]
    leaf = clean["audio"].clone().requires_grad_()
    score = net.classify({**clean, "audio": leaf})[0, 0]
    (slope,) = torch.autograd.grad(score, leaf)
    near = logits.clone()
    near[0] -= 1e-4
    radii = head_radii(net, clean, near, "A")
    assert radii is not None
    assert float(radii[0, 0]) == pytest.approx(1e-4 / float(slope.norm()), rel=0.3)


def test_what_is_not_read_has_no_radius_that_ends() -> None:
    net = spread(model("mid"), 5)
    with torch.no_grad():
        net.hidden[0].weight[:, : net.shapes["audio"][0]] = 0  # type: ignore[index, union-attr]
    clean = vectors(net, 6)
    deaf = head_radii(net, clean, THRESHOLDS, "A")
    seeing = head_radii(net, clean, THRESHOLDS, "V")
    assert deaf is not None
    assert seeing is not None
    assert bool(deaf.isinf().all())
    assert bool(seeing.isfinite().all())
    unknown = THRESHOLDS.clone()
    unknown[1] = torch.nan
    without = head_radii(net, clean, unknown, "A")
    assert without is not None
    assert bool(without[:, 1].isnan().all())
    assert head_radii(model("gated"), clean, THRESHOLDS, "A") is None
