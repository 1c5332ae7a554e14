"""Budgets, regions and projections: exact in float32, and the nearest or best points."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlib.attacks.core import projection
from mmlib.attacks.core.region import Region
from mmlib.attacks.core.threat import (
    NORMS,
    Budget,
    Norm,
    build_threat,
    clip_seeds,
    comparable_radius,
    rows,
)
from mmlib.runtime.errors import UserError
from tests.attacks import toys
from tests.properties import examples

SEEDS = list(range(toys.CLIPS))


def region(norm: Norm, eps: float, seed: int = 0) -> Region:
    return Region(toys.batch(seed)["video"], Budget(eps, norm), None, "video")


@examples(60)
@given(
    norm=st.sampled_from(NORMS),
    eps=st.floats(1e-6, 2.0),
    seed=st.integers(0, 1000),
    scale=st.floats(1e-9, 100.0),
)
def test_every_projected_point_is_within_budget_and_box(
    norm: Norm, eps: float, seed: int, scale: float
) -> None:
    area = region(norm, eps, seed)
    wild = area.clean + scale * torch.randn(
        area.clean.shape, generator=torch.Generator().manual_seed(seed)
    )
    for point in (area.project(wild), area.vertex(wild - area.clean), area.random(SEEDS, "video")):
        assert point.dtype == torch.float32
        assert bool((area.size(point) <= eps).all())
        assert float(point.min()) >= 0
        assert float(point.max()) <= 1


@pytest.mark.parametrize("norm", NORMS)
def test_box_is_exact_when_its_edges_are_not_float32_numbers(norm: Norm) -> None:
    clean = torch.full((1, 4), 0.25)
    area = Region(clean, Budget(10.0, norm, low=0.1, high=0.3), None, "x")
    top, bottom = area.project(clean + 9).double(), area.project(clean - 9).double()
    assert float(top.max()) <= 0.3
    assert float(bottom.min()) >= 0.1
    assert float(top.max()) == pytest.approx(0.3, abs=1e-7)


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("eps", [0.05, 0.7, 3.0])
def test_projection_is_the_nearest_point(norm: Norm, eps: float) -> None:
    """No feasible point is nearer: (wild - nearest) · (other - nearest) <= 0 for all others."""
    area = region(norm, eps)
    generator = torch.Generator().manual_seed(5)
    wild = area.clean + torch.randn(area.clean.shape, generator=generator)
    nearest = area.project(wild)
    out = (wild - nearest).flatten(1)
    for seed in range(20):
        corner = area.vertex(torch.randn(wild.shape, generator=torch.Generator().manual_seed(seed)))
        inner = (out * (corner - nearest).flatten(1)).sum(1)
        assert float(inner.max()) <= 2e-5
    best = area.vertex(wild - nearest)
    assert float((out * (best - nearest).flatten(1)).sum(1).max()) <= 2e-5


@pytest.mark.parametrize("norm", NORMS)
def test_projection_leaves_inner_points_alone(norm: Norm) -> None:
    area = region(norm, 0.5)
    point = area.clean + 0.2 * (area.random(SEEDS, "video") - area.clean)
    torch.testing.assert_close(area.project(point), point, atol=1e-7, rtol=0)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("eps", [0.01, 0.3, 2.0, 50.0])
def test_vertex_reaches_the_linear_optimum(norm: Norm, eps: float) -> None:
    area = region(norm, eps)
    gradient = torch.randn(area.clean.shape, generator=torch.Generator().manual_seed(3))
    gained = ((area.vertex(gradient) - area.clean) * gradient).flatten(1).sum(1)
    for clip in range(toys.CLIPS):
        best = toys.optimum(gradient[clip].numpy(), area.clean[clip].numpy(), Budget(1, norm), eps)
        assert float(gained[clip]) == pytest.approx(best, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e6])
def test_direction_does_not_depend_on_the_gradients_size(norm: Norm, scale: float) -> None:
    area = region(norm, 0.3)
    gradient = torch.randn(area.clean.shape, generator=torch.Generator().manual_seed(3))
    for move in (area.vertex, lambda g: area.ascend(area.clean, g, 0.5)):
        torch.testing.assert_close(move(gradient * scale), move(gradient), atol=2e-6, rtol=0)


@pytest.mark.parametrize("norm", NORMS)
def test_zero_gradient_moves_nothing(norm: Norm) -> None:
    area = region(norm, 0.3)
    for point in (
        area.vertex(torch.zeros_like(area.clean)),
        area.ascend(area.clean, torch.zeros_like(area.clean), 1.0),
    ):
        torch.testing.assert_close(point, area.clean, atol=0, rtol=0)


@pytest.mark.parametrize("norm", NORMS)
def test_missing_modality_cannot_move(norm: Norm) -> None:
    inputs = toys.batch()["audio"]
    present = torch.tensor([True, False, True, True, False])
    area = Region(inputs, Budget(0.2, norm), present, "audio")
    point = area.random(SEEDS, "audio")
    assert torch.equal(point[~present], inputs[~present])
    assert bool((area.size(point)[present] > 0).all())


@pytest.mark.parametrize("norm", NORMS)
def test_random_points_depend_on_the_clips_seed_alone(norm: Norm) -> None:
    full = region(norm, 0.3)
    part = Region(full.clean[2:3], Budget(0.3, norm), None, "video")
    assert torch.equal(part.random([7], "video")[0], full.random([1, 2, 7, 3, 4], "video")[2])
    assert not torch.equal(full.random([1] * 5, "audio")[0], full.random([1] * 5, "video")[0])


def test_own_radius_for_each_clip() -> None:
    radii = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    inputs = toys.batch()["video"]
    area = Region(inputs, Budget(radii, "l2"), None, "video")
    sizes = area.size(area.vertex(torch.ones_like(inputs)))
    torch.testing.assert_close(sizes, radii, rtol=1e-5, atol=1e-8)
    cut = rows({"video": Budget(radii, "l2")}, torch.tensor([3, 1]))
    assert torch.as_tensor(cut["video"].eps).tolist() == [0.3, 0.1]


def test_l1_projection_against_sorting() -> None:
    generator = torch.Generator().manual_seed(0)
    delta = torch.randn(8, 50, generator=generator, dtype=torch.float64)
    wide = torch.full_like(delta, 9.0)
    eps = torch.linspace(0.1, 60, 8, dtype=torch.float64)
    found = projection.project_l1(delta, -wide, wide, eps)
    for row in range(8):
        size = np.abs(delta[row].numpy())
        if size.sum() > eps[row]:
            falling = np.sort(size)[::-1]
            levels = (np.cumsum(falling) - float(eps[row])) / np.arange(1, 51)
            size = np.maximum(size - levels[np.nonzero(falling > levels)[0][-1]], 0)
        np.testing.assert_allclose(np.abs(found[row].numpy()), size, atol=2e-6)


def test_comparable_radius_is_rms_and_mean() -> None:
    assert comparable_radius(0.02, "linf", (100, 64)) == 0.02
    assert comparable_radius(0.02, "l2", (100, 64)) == pytest.approx(0.02 * 80)
    assert comparable_radius(0.02, "l1", (100, 64)) == pytest.approx(128)


def test_a_threat_of_one_change_per_element() -> None:
    shapes = {"audio": (100, 64), "video": (3, 8, 16, 16)}
    threat = build_threat({"audio": 0.02, "video": 0.01}, "l2", shapes)
    assert threat["audio"] == Budget(comparable_radius(0.02, "l2", (100, 64)), "l2")
    assert threat["video"] == Budget(comparable_radius(0.01, "l2", (3, 8, 16, 16)), "l2")
    waveform = build_threat({"audio": 0.02}, "linf", {"audio": (16000,), "video": (3, 8, 16, 16)})
    assert waveform == {"audio": Budget(0.02, low=-1.0)}


def test_a_seed_for_each_clip() -> None:
    assert clip_seeds([4, 5], 2) == [4, 5]
    assert clip_seeds(5, 2)[0] == 1248755623252317243
    assert len(set(clip_seeds(5, 3))) == 3
    with pytest.raises(UserError, match="2 seeds for 3 clips"):
        clip_seeds([4, 5], 3)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"eps": -1.0}, "not negative"),
        ({"eps": float("nan")}, "finite"),
        ({"eps": 0.1, "norm": "l3"}, "unknown norm"),
        ({"eps": 0.1, "low": 1.0}, "empty"),
    ],
)
def test_bad_budgets_are_refused(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Budget(**bad)


def test_clean_outside_the_box_is_refused() -> None:
    with pytest.raises(UserError, match=r"video: clean values must lie in the box"):
        Region(toys.batch()["video"] * 255, Budget(0.1), None, "video")
