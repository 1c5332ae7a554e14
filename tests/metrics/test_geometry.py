"""Density and convexity on shapes whose figures are known: balls, simplices, rings, two moons."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from scipy.special import logit

from mmlib.metrics.geometry import convexity as cv
from mmlib.metrics.geometry import density as dn
from mmlib.metrics.geometry import (
    head,
    spaces,
    table,
)
from mmlib.metrics.geometry.bars import class_bars
from mmlib.metrics.geometry.clouds import Clouds, clouds, distances
from mmlib.runtime.arrays import Bools, Reals
from mmlib.runtime.errors import UserError
from tests.properties import examples

Classifier = Callable[[Reals], Reals]
DIMS = [2, 3, 16, 512, 1024, 2048]
HALF = np.zeros(1)
"""The bar of probability 0.5 of one class."""


def uniform_ball(count: int, dims: int, seed: int = 0) -> Reals:
    """Points uniform in the unit ball."""
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((count, dims))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.asarray(directions * rng.random((count, 1)) ** (1 / dims))


@pytest.mark.parametrize(
    ("radius", "dims", "p", "volume"),
    [
        (3.0, 2, 2.0, math.pi * 9),
        (2.0, 3, 2.0, 4 / 3 * math.pi * 8),
        (2.0, 4, 1.0, 4.0**4 / 24),
        (0.5, 7, math.inf, 1.0),
        (3.0, 1, 3.5, 6.0),
    ],
)
def test_ball_volumes(radius: float, dims: int, p: float, volume: float) -> None:
    assert dn.log_ball_volume(radius, dims, p) == pytest.approx(math.log(volume), abs=1e-12)


def test_rho_is_singular_where_the_specification_says() -> None:
    found = [dn.singular_radius(dims, 2.0) for dims in (512, 1024, 2048)]
    assert found == pytest.approx([5.515, 7.774, 10.974], abs=5e-4)
    for dims, radius in zip((512, 1024, 2048), found, strict=True):
        assert dn.log_ball_volume(radius, dims, 2.0) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("p", [1.0, 2.0, 7.0, math.inf])
def test_shells_never_overflow_and_fill_the_ball(dims: int, p: float) -> None:
    for radius in (1e-30, 0.3, 10.0, 1e30):
        whole = dn.log_ball_volume(radius, dims, p)
        parts = [
            dn.log_shell_volume(0.0, 0.5 * radius, dims, p),
            dn.log_shell_volume(0.5 * radius, radius * (1 - 1e-9), dims, p),
            dn.log_shell_volume(radius * (1 - 1e-9), radius, dims, p),
        ]
        assert np.isfinite(parts).all()
        assert np.logaddexp.reduce(parts) == pytest.approx(whole, rel=1e-9, abs=1e-6)
    assert dn.log_shell_volume(2.0, 2.0, dims, p) == -np.inf


@pytest.mark.parametrize("dims", DIMS)
def test_uniform_ball_has_its_own_density(dims: int) -> None:
    points = 1.7 * uniform_ball(1500, dims)
    distances = dn.centroid_distances(points, 2.0)
    truth = -dn.log_ball_volume(1.7, dims, 2.0)
    found = dn.density(distances, dims, tau=0.6, p=2.0)
    # the centroid of N points lies off the centre by 1.7 / sqrt(N) at most, about
    assert found.radius == pytest.approx(1.7 * 0.6 ** (1 / dims), rel=0.02)
    assert found.outside == 600
    shell = dn.shell_density(distances, dims, inner_tau=0.6, outer_tau=0.8, p=2.0)
    assert shell.inside == 300
    assert shell.log_density * dims == pytest.approx(truth, abs=1.0)


def test_paper_form_is_signed_and_flagged_near_its_singularity() -> None:
    dims = 512
    shape = np.linspace(0.9, 1.1, 101)
    shape /= np.quantile(shape, 0.6)
    edge = dn.singular_radius(dims, 2.0)
    for factor, sign, flagged in (
        (0.5, -1, False),
        (0.98, -1, True),
        (1.02, 1, True),
        (2, 1, False),
    ):
        found = dn.density(shape * edge * factor, dims, tau=0.6, p=2.0)
        assert found.rho == found.outside / found.log_volume
        assert np.sign(found.rho) == sign
        assert ("near_singular" in found.flags) is flagged
        assert np.isfinite(found.log_density)


@given(st.integers(2, 40), st.integers(1, 30), st.floats(0.01, 100), st.integers(0, 1000))
def test_log_density_ignores_size_place_and_order(
    count: int, dims: int, scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((count * 5, dims))
    base = dn.density(dn.centroid_distances(points, 2.0), dims, tau=0.6, p=2.0)
    twice = np.concatenate([points, points])[::-1] + 3.0
    doubled = dn.density(dn.centroid_distances(twice, 2.0), dims, tau=0.6, p=2.0)
    # quantiles of a doubled sample interpolate elsewhere: at most one neighbour away
    assert doubled.outside == pytest.approx(2 * base.outside, abs=1)
    scaled = dn.density(dn.centroid_distances(points * scale, 2.0), dims, tau=0.6, p=2.0)
    assert scaled.log_density == pytest.approx(base.log_density - math.log(scale), abs=1e-9)
    moved = dn.density(dn.centroid_distances(points[::-1] - 7.0, 2.0), dims, tau=0.6, p=2.0)
    assert moved.log_density == pytest.approx(base.log_density, abs=1e-9)


def test_log_density_does_not_grow_with_the_class_but_rho_does() -> None:
    small, large = (
        dn.density(dn.centroid_distances(uniform_ball(n, 8), 2.0), 8, tau=0.6, p=2.0)
        for n in (400, 4000)
    )
    assert large.rho / small.rho == pytest.approx(10, rel=0.1)
    assert large.log_density == pytest.approx(small.log_density, abs=0.02)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, 50.0, math.inf])
def test_distances_equal_numpy_norms_and_survive_large_powers(p: float) -> None:
    points = np.random.default_rng(0).standard_normal((20, 6))
    expected = np.linalg.norm(points - points.mean(axis=0), ord=p, axis=1)
    np.testing.assert_allclose(dn.centroid_distances(points, p), expected, rtol=1e-12)
    # coincident points: powers of 0, and a radius of 0
    assert dn.centroid_distances(np.ones((3, 6)), p).max() == 0
    assert np.isfinite(dn.centroid_distances(points * 1e30, p)).all()


def test_degenerate_classes_are_explicit() -> None:
    for count in (0, 1):
        found = dn.density(np.zeros(count), 4, tau=0.6, p=2.0)
        assert found.flags == ("too_few",)
        assert np.isnan([found.rho, found.log_density, found.radius]).all()
        shell = dn.shell_density(np.zeros(count), 4, inner_tau=0.6, outer_tau=0.8, p=2.0)
        assert shell.flags == ("too_few",)
    found = dn.density(np.zeros(9), 4, tau=0.6, p=2.0)
    assert found.flags == ("zero_radius",)
    assert found.log_volume == -np.inf
    assert np.isnan([found.rho, found.log_density]).all()
    # two members are equally far from their centroid, whatever rounding says
    pair = dn.centroid_distances(np.random.default_rng(0).random((2, 33)), 2.0)
    assert dn.density(pair, 33, tau=0.6, p=2.0).flags[0] == "none_outside"
    shell = dn.shell_density(pair, 33, inner_tau=0.6, outer_tau=0.8, p=2.0)
    assert shell.flags == ("empty_shell",)
    for call in (
        lambda: dn.log_ball_volume(1.0, 0, 2.0),
        lambda: dn.log_ball_volume(1.0, 2, 0.5),
        lambda: dn.log_shell_volume(2.0, 1.0, 2, 2.0),
        lambda: dn.shell_density(np.ones(3), 2, inner_tau=0.8, outer_tau=0.6, p=2.0),
    ):
        with pytest.raises(ValueError, match=r"ball|shell|inner_tau"):
            call()


def test_pairs_are_distinct_uniform_and_seeded() -> None:
    members = np.array([3, 5, 8, 13])
    pairs = cv.draw_pairs(members, 24_000, np.random.default_rng(0))
    assert (pairs.first != pairs.second).all()
    seen, counts = np.unique(np.stack(pairs[:2]), axis=1, return_counts=True)
    assert seen.shape[1] == 12
    assert counts == pytest.approx(2000, rel=0.1)
    assert 0 <= pairs.theta.min() <= pairs.theta.max() <= 1
    again = cv.draw_pairs(members, 24_000, np.random.default_rng(0))
    np.testing.assert_array_equal(np.stack(pairs), np.stack(again))
    with pytest.raises(ValueError, match="2 members"):
        cv.draw_pairs(members[:1], 5, np.random.default_rng(0))


def margins_along(points: Reals, classifier: Classifier, rule: cv.Rule) -> cv.Margins:
    """Margins of any classifier between rows of `points` (N, D)."""

    def margins(pairs: cv.Pairs, column: int) -> Reals:
        ends = points[pairs.first], points[pairs.second]
        return rule(classifier(cv.interpolate(*ends, pairs.theta)), column)

    return margins


def kappa_of(points: Reals, classifier: Classifier, rule: cv.Rule, column: int = 0) -> cv.Convexity:
    members = np.arange(len(points))
    correct = members[rule(classifier(points), column) >= 0]
    margins = margins_along(points, classifier, rule)
    generator = np.random.default_rng(0)
    return cv.convexity(members, correct, column, margins, points=2000, generator=generator)


@pytest.mark.parametrize("dims", [2, 64])
def test_a_ball_is_convex_to_a_classifier_of_its_own_shape(dims: int) -> None:
    def inside(points: Reals) -> Reals:
        return np.asarray(1.0 - np.linalg.norm(points, axis=1, keepdims=True))

    found = kappa_of(uniform_ball(300, dims), inside, cv.threshold_rule(HALF))
    assert found.kappa.estimate == found.conditioned.estimate == 1.0
    assert found.kappa.lo > 0.99
    # the ball's shell is not: a chord from one point of the rim to the other leaves it
    rim = uniform_ball(300, dims)
    rim /= np.linalg.norm(rim, axis=1, keepdims=True)
    hollow = kappa_of(rim, lambda x: -inside(x) - 0.2, cv.threshold_rule(HALF))
    assert hollow.kappa.hi < 0.9


def test_a_gap_between_two_clusters_costs_its_own_length() -> None:
    points = np.array([[-1.0], [1.0]])
    found = kappa_of(points, lambda x: np.abs(x) - 0.5, cv.threshold_rule(HALF))
    assert found.correct == 2
    assert found.kappa.lo < 0.5 < found.kappa.hi
    assert found.conditioned.lo < 0.5 < found.conditioned.hi


def test_simplex_corners_under_argmax() -> None:
    corners = np.eye(4)
    # every member of the class stands on another corner: one keeps theta above one half of each
    # of its own edges, and the edges between the others are lost
    found = kappa_of(corners, lambda x: x, cv.argmax_rule)
    pairs = cv.draw_pairs(np.arange(4), 40_000, np.random.default_rng(1))
    exact = cv.affine_kappa(corners, pairs, 0)
    assert exact == pytest.approx(0.5 * 0.5, abs=0.01)
    assert found.kappa.lo < 0.25 < found.kappa.hi
    assert found.correct == 1
    assert np.isnan(found.conditioned.estimate)


def test_two_moons_are_not_convex_and_a_line_cannot_tell() -> None:
    angle = np.random.default_rng(0).uniform(0, np.pi, 400)
    moon = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    grid = np.linspace(0, np.pi, 200)
    arcs = np.stack(
        [
            np.stack([np.cos(grid), np.sin(grid)], axis=1),
            np.stack([1 - np.cos(grid), 0.5 - np.sin(grid)], axis=1),
        ]
    )

    def nearest_arc(points: Reals) -> Reals:
        gaps = np.linalg.norm(points[:, None, None] - arcs[None], axis=-1)
        return np.asarray(-gaps.min(axis=2))

    curved = kappa_of(moon, nearest_arc, cv.argmax_rule)
    assert curved.correct == 400
    assert curved.kappa.hi < 0.95
    assert curved.conditioned.hi < 0.95
    weight = np.array([[-0.5, 1.0], [0.5, -1.0]])
    straight = kappa_of(moon, lambda x: x @ weight.T + [0.1, -0.1], cv.argmax_rule)
    assert straight.correct < 400
    assert straight.kappa.estimate < 1
    assert straight.conditioned.estimate == 1.0


@examples(30)
@given(st.integers(0, 10_000), st.sampled_from([None, 0.1, 0.5]), st.integers(1, 6))
def test_affine_heads_have_kappa_in_closed_form(
    seed: int, probability: float | None, classes: int
) -> None:
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((12, 5))
    weight, bias = rng.standard_normal((classes, 5)), rng.standard_normal(classes)
    logits = points @ weight.T + bias
    bars = None if probability is None else np.full(classes, logit(probability))
    rule = cv.argmax_rule if bars is None else cv.threshold_rule(bars)
    column = int(rng.integers(classes))
    pairs = cv.draw_pairs(np.arange(12), 40, rng)
    # oracle: the share of a fine grid of theta that the classifier itself keeps
    thetas = (np.arange(2000) + 0.5) / 2000
    lines = margins_along(points, lambda x: x @ weight.T + bias, rule)
    kept = [
        (lines(cv.Pairs(np.full(2000, i), np.full(2000, j), thetas), column) >= 0).mean()
        for i, j in zip(pairs.first, pairs.second, strict=True)
    ]
    assert cv.affine_kappa(logits, pairs, column, bars) == pytest.approx(np.mean(kept), abs=2e-3)
    # interpolated logits are the logits of interpolations
    for affine in (
        cv.margins_of_affine(logits, rule),
        *([] if bars is None else [cv.margins_of_affine_threshold(logits, bars)]),
    ):
        np.testing.assert_allclose(affine(pairs, column), lines(pairs, column), atol=1e-12)


def test_affine_heads_are_convex_once_both_ends_are_right() -> None:
    rng = np.random.default_rng(5)
    logits = rng.standard_normal((200, 7)) + 1.5 * np.eye(7)[rng.integers(0, 7, 200)]
    labels = rng.random((200, 7)) < 0.4
    for bars in (np.linspace(-1, 1, 7), None):
        space = spaces.affine_space("fused", logits, bars=bars, sample=500)
        found = measured(space, labels, logits, bars)
        for row in found:
            assert row.convexity.conditioned.estimate == 1.0
            assert row.convexity.kappa.estimate < 1.0
            spread = 4 * math.sqrt(row.kappa_exact * (1 - row.kappa_exact) / 500)
            assert row.convexity.kappa.estimate == pytest.approx(row.kappa_exact, abs=spread)


def measured(
    space: spaces.Space,
    labels: Bools,
    logits: Reals,
    bars: Reals | None,
    points: Reals | None = None,
) -> list[spaces.ClassGeometry]:
    """Density is that of every second clip, of a split of its own, in two parts."""
    dense: list[Clouds] = []
    if points is not None and space.name != "input":
        for part in (slice(0, 30, 2), slice(30, None, 2)):
            present = np.ones(len(labels[part]), dtype=np.bool_)
            dense.append(Clouds(labels[part], {space.name: points[part]}, {space.name: present}))
    classes = [f"class {k}" for k in range(labels.shape[1])]
    return spaces.measure(
        [space],
        classes,
        labels,
        logits,
        dense=lambda _: dense,
        bars=bars,
        taus=[0.8, 0.6],
        p=2.0,
        seed=3,
    )


def test_workers_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((100, 6)).astype(np.float32)
    logits, labels = points @ rng.standard_normal((6, 20)), rng.random((100, 20)) < 0.2
    bars = np.full(20, -2.0)
    space = spaces.affine_space("audio", logits, bars=bars, sample=100)
    texts = []
    for workers in ("1", "3"):
        monkeypatch.setenv("MMLIB_WORKERS", workers)
        found = measured(space, labels, logits, bars, points)
        texts.append(table.to_csv(found, [0.8, 0.6], ("val", "train")))
    assert texts[0] == texts[1]


def test_table_is_read_back_in_the_order_asked_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((60, 4))
    labels = rng.random((60, 3)) < 0.5
    labels[:, 1] = False
    labels[7, 1] = True
    logits = points @ rng.standard_normal((4, 3))
    bars = np.full(3, -2.0)
    space = spaces.affine_space("video", logits, bars=bars, sample=50)
    bare = spaces.Space("input", space.margins, 20)
    found = measured(space, labels, logits, bars, points)
    found += measured(bare, labels, logits, bars)
    path = tmp_path / "run.csv"
    path.write_text(table.to_csv(found, [0.6, 0.8], ("val", "train")))
    read = table.GeometryTable(path)
    assert read.main_space == "video"
    assert read.spaces == ("video", "input")
    assert read.splits == {"val", "train"}
    assert read.quantiles() == ("0.6", "0.8")
    names = ["class 2", "class 1", "class 0"]
    kappa = read.column("kappa", "video", names)
    assert kappa[[0, 2]] == pytest.approx(
        [found[2].convexity.kappa[0], found[0].convexity.kappa[0]]
    )
    assert np.isnan(kappa[1])
    assert np.isnan(read.column("rho_0.6", "input", names)).all()
    assert "too_few@0.6 too_few@0.8 too_few@0.6-0.8" in path.read_text()
    with pytest.raises(UserError, match="no gamma in space video"):
        read.column("gamma", "video", names)
    with pytest.raises(UserError, match="'siren' is not there"):
        read.column("kappa", "video", ["siren"])
    with pytest.raises(UserError, match="no such file"):
        table.GeometryTable(tmp_path / "other.csv")


def test_head_is_read_without_torch_and_another_model_s_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((50, 8)).astype(np.float32)
    weight = rng.standard_normal((3, 8)).astype(np.float32)
    bias = rng.standard_normal(3).astype(np.float32)
    logits = vectors @ weight.T + bias
    vectors[9] = 0.25
    path = tmp_path / "run.safetensors"
    tensors = {"head.weight": weight, "head.bias": bias}
    save_file(tensors | {"missing.audio": np.full(8, 0.25, np.float32)}, path)
    read = head.read_head(path)
    np.testing.assert_array_equal(np.flatnonzero(~read.present("audio", vectors)), [9])
    assert read.present("video", vectors).all()
    read.check(vectors[:9], logits[:9].astype(np.float16), "run")
    for other in (read._replace(weight=weight[:, ::-1]), read._replace(weight=weight[:2])):
        with pytest.raises(UserError, match="not made by this model"):
            other.check(vectors[:9], logits[:9], "run")
    save_file({"weight": weight}, path)
    with pytest.raises(UserError, match="no linear head"):
        head.read_head(path)
    path.write_bytes(b"junk")
    with pytest.raises(UserError, match="delete it"):
        head.read_head(path)
    with pytest.raises(UserError, match="no such file"):
        head.read_head(tmp_path / "other.safetensors")


def test_clips_without_the_modality_are_no_members() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((40, 2)), np.ones((40, 2), dtype=np.bool_)
    present = np.arange(40) < 30
    bars = np.full(2, -2.0)
    space = spaces.affine_space("audio", logits, bars=bars, sample=50, present=present)
    for row in measured(space, labels, logits, bars):
        assert row.convexity.members == 30


def test_density_and_convexity_are_measured_on_their_own_clips() -> None:
    rng = np.random.default_rng(0)
    points, labels = rng.standard_normal((40, 3)), np.ones((40, 2), dtype=np.bool_)
    logits = points[:, :2]
    space = spaces.affine_space("audio", logits, bars=np.zeros(2), sample=50)
    for row in measured(space, labels, logits, np.zeros(2), points):
        assert (row.members, row.convexity.members) == (20, 40)
        expected = dn.density(dn.centroid_distances(points[::2], 2.0), 3, tau=0.6, p=2.0)
        assert row.densities[0] == expected


def test_a_constant_output_is_convex_at_the_prior_s_bar_of_no_class() -> None:
    """At one threshold for all, it is perfectly convex wherever classes are more common."""
    train = np.random.default_rng(0).random((1000, 3)) < [0.05, 0.17, 0.4]
    constant = np.tile(logit(train.mean(axis=0)), (60, 1))
    labels = np.ones((60, 3), dtype=np.bool_)
    found = {}
    for threshold in (0.1, None):
        bars = class_bars("multi_label", train.sum(0), 1000, threshold=threshold, odds_ratio=1.5)
        assert bars is not None
        space = spaces.affine_space("audio", constant, bars=bars, sample=100)
        rows = measured(space, labels, constant, bars)
        found[threshold] = [row.convexity.kappa.estimate for row in rows]
    assert found == {0.1: [0, 1, 1], None: [0, 0, 0]}


def test_bars_are_odds_over_the_prior_s_and_finite_at_its_ends() -> None:
    train = np.zeros((99, 3), dtype=np.bool_)
    train[:, 0] = True
    train[:20, 1] = True
    counts = train.sum(0), 99
    bars = class_bars("multi_label", *counts, threshold=None, odds_ratio=4.0)
    assert bars is not None
    assert np.isfinite(bars).all()
    assert bars[1] == pytest.approx(np.log(4 * 20.5 / 79.5))
    assert class_bars("single_label", *counts, threshold=None, odds_ratio=4.0) is None
    fixed = class_bars("multi_label", *counts, threshold=0.1, odds_ratio=4.0)
    assert fixed == pytest.approx(logit(0.1))


def test_clouds_are_every_space_with_points_and_leave_out_who_lacks_the_modality() -> None:
    rng = np.random.default_rng(0)
    sizes = {"audio": 2, "video": 3, "fused": 4}
    vectors = {name: rng.standard_normal((6, d)).astype(np.float32) for name, d in sizes.items()}
    learnt = head.Head(np.zeros((2, 4)), np.zeros(2), {"audio": vectors["audio"][5]})
    labels = np.ones((6, 2), dtype=np.bool_)
    found = clouds(labels, vectors, learnt)
    shapes = {name: points.shape for name, points in found.points.items()}
    assert shapes == {"audio": (6, 2), "video": (6, 3), "fused": (6, 4), "joint": (6, 5)}
    counts = {name: len(found.members(name, 0)) for name in shapes}
    assert counts == {"audio": 5, "video": 6, "fused": 6, "joint": 5}


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, np.inf])
def test_distances_are_those_of_all_parts_at_once(p: float) -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((60, 5)).astype(np.float32)
    labels = rng.random((60, 3)) < [0.5, 0.1, 0]
    present = {"audio": rng.random(60) < 0.8}
    parts = [
        Clouds(labels[rows], {"audio": points[rows]}, {"audio": present["audio"][rows]})
        for rows in (slice(0, 7), slice(7, 8), slice(8, 60))
    ]
    found, dims = distances(lambda _: parts, "audio", [0, 2, 1], p)
    assert dims == 5
    whole = Clouds(labels, {"audio": points}, present)
    assert len(found[1]) == 0
    for column, mine in ((0, found[0]), (1, found[2])):
        expected = dn.centroid_distances(whole.members("audio", column), p)
        np.testing.assert_allclose(mine, expected, rtol=1e-12)
    assert [len(mine) for mine in distances(lambda _: [], "input", [0], p)[0]] == [0]
