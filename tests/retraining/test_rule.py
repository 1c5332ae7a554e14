"""The rule that turns convexity and density into a guide for mixup."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmlib.params.retraining import MixupRule
from mmlib.params.whole.file import load
from mmlib.retraining.guide import (
    Guide,
    read_guide,
    to_json,
)
from mmlib.retraining.rule import (
    beta_parameters,
    by_clip,
    class_weights,
    describe,
    mean_distances,
    relative_distances,
    same_class_shares,
    shortfall,
    standing,
    unguided_shares,
)
from mmlib.runtime.errors import UserError
from mmlib.runtime.sealed import open_json
from tests.conftest import ROOT

RULE = load(ROOT / "params.yaml").temperature.rule

ALL = np.ones(12, dtype=np.bool_)

SHARES = np.array([0.3, 0.1, 0.2, 0.2, 0.15, 0.05])
values = arrays(np.float64, 6, elements=st.floats(-5, 5))


def rule(**changes: Any) -> MixupRule:
    return RULE.model_copy(update=changes)


def some(values: np.ndarray) -> np.ndarray:
    """Tell which classes were measured, in no case none."""
    return np.asarray(np.where(np.arange(6) == 2, np.nan, values))


def test_a_place_is_the_mid_rank_among_the_measured() -> None:
    found = standing(np.array([0.9, np.nan, 0.1, 0.5, 0.5, np.inf]))
    assert found[[0, 2, 3, 4]] == pytest.approx([0.875, 0.125, 0.5, 0.5])
    assert np.isnan(found[[1, 5]]).all()
    assert standing(np.full(3, 0.7)) == pytest.approx([0.5] * 3)
    assert np.isnan(standing(np.full(2, np.nan))).all()


@given(arrays(np.int64, 6, elements=st.integers(-20, 20)))
def test_only_the_order_of_the_classes_counts(order: np.ndarray) -> None:
    metric = some(order / 20)
    # monotone and as unlike a metric's scale as can be: 0.986 to 1.000, say
    squeezed = 1 - 0.001 / (1 + np.exp(metric))
    assert standing(squeezed) == pytest.approx(standing(metric), nan_ok=True)
    assert class_weights(squeezed, SHARES, 2.0) == pytest.approx(class_weights(metric, SHARES, 2.0))
    assert shortfall(squeezed, 0.5) == pytest.approx(shortfall(metric, 0.5))


def test_an_unguided_anchor_stands_for_each_of_its_labels_alike() -> None:
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0]])
    assert unguided_shares(labels) == pytest.approx([1.5 / 3, 1.5 / 3, 0])


def test_class_weights_are_the_formula() -> None:
    weights = class_weights(np.array([0.5, 0.9, 0.6]), np.array([0.2, 0.4, 0.4]), 2.0)
    expected = np.array([0.2, 0.4, 0.4]) * np.array([5 / 6, 1 / 6, 1 / 2]) ** 2
    assert weights == pytest.approx(expected / expected.sum())


def test_exponent_zero_leaves_the_shares_and_no_exponent_wakes_an_absent_class() -> None:
    kappa, shares = np.array([0.1, 0.9, 0.5]), np.array([0.9, 0.1, 0.0])
    assert class_weights(kappa, shares, 0.0).tolist() == [0.9, 0.1, 0.0]
    for exponent in (1.0, 7.0, 1e6):
        found = class_weights(kappa[::-1], shares, exponent)
        assert found[2] == 0
        assert found.sum() == pytest.approx(1)


@given(values, st.floats(0, 5), st.floats(0, 5))
def test_class_weights_move_towards_the_less_convex_as_the_exponent_grows(
    kappa: np.ndarray, one: float, two: float
) -> None:
    low, high = (class_weights(some(kappa), SHARES, e) for e in sorted((one, two)))
    assert low.sum() == pytest.approx(1)
    # weights of less convex classes grow by the larger factor
    factor = (high / low)[[0, 1, 3, 4, 5]]
    assert (np.diff(factor[np.argsort(kappa[[0, 1, 3, 4, 5]])]) <= 1e-9).all()
    assert np.abs(low - SHARES).sum() <= np.abs(high - SHARES).sum() + 1e-9


def test_shortfall_is_the_place_below_the_quantile() -> None:
    gap = shortfall(np.array([0.2, np.nan, 0.5, 0.9, -np.inf]), 0.5)
    assert gap == pytest.approx([(1 / 2 - 1 / 6) * 2, 0, 0, 0, 0])
    assert shortfall(np.full(3, np.nan), 0.5).tolist() == [0, 0, 0]
    assert shortfall(np.arange(3.0), 0.0).tolist() == [0, 0, 0]
    assert shortfall(np.arange(4.0), 1.0) == pytest.approx([7 / 8, 5 / 8, 3 / 8, 1 / 8])


def test_beta_parameters_are_the_formula_and_clipped() -> None:
    chosen = rule(base=0.5, kappa_slope=2.0, rho_slope=3.0, limit=4.0)
    gaps = np.array([0.0, 0.2, 0.9]), np.array([0.0, 0.1, 0.5])
    assert beta_parameters(*gaps, chosen, 1.0) == pytest.approx([0.5, 0.5 * 1.7, 2.0])
    assert beta_parameters(*gaps, chosen, 2.0) == pytest.approx([0.5, 0.5 * 2.4, 2.0])
    assert beta_parameters(*gaps, chosen, 0.0).tolist() == [0.5] * 3


@given(values, values, st.floats(0.1, 5), st.floats(0, 5), st.floats(0, 5), st.floats(1, 8))
def test_beta_parameters_stay_between_base_and_limit_and_grow_with_strength(
    kappa: np.ndarray, rho: np.ndarray, base: float, b: float, b2: float, limit: float
) -> None:
    chosen = rule(base=base, kappa_slope=b, rho_slope=b2, limit=limit)
    gaps = shortfall(kappa, 0.5), shortfall(rho, 0.5)
    some, more = (beta_parameters(*gaps, chosen, strength) for strength in (0.7, 1.9))
    assert (some >= base * (1 - 1e-12)).all()
    assert (more >= some).all()
    assert (more <= base * limit * (1 + 1e-12)).all()


def test_slopes_of_zero_give_every_class_the_base() -> None:
    metrics = {"audio": np.array([0.1, 0.9])}
    beta, _ = describe(("x", "y"), metrics, metrics, rule(kappa_slope=0.0, rho_slope=0.0), 1.0)
    assert beta["audio"].tolist() == [RULE.base] * 2


def test_partners_of_the_class_go_from_chance_to_the_target_and_no_further() -> None:
    counts, clips = np.array([10, 50, 0]), 100
    for strength, expected in ((0.0, [0.1, 0.5, 0.0]), (1.0, [0.6, 0.6, 0.6])):
        assert same_class_shares(counts, clips, 0.6, strength) == pytest.approx(expected)
    rising = [same_class_shares(counts, clips, 0.6, s)[0] for s in (0.0, 0.3, 1.0, 2.0)]
    assert rising == sorted(rising)
    assert rising[-2:] == pytest.approx([0.6, 0.6])
    for target in (0.0, 1.0):
        assert same_class_shares(counts, clips, target, 0.5).tolist() == [target] * 3
    assert same_class_shares(counts, clips, None, 1.0) == pytest.approx([0.1, 0.5, 0])


def test_the_account_names_thresholds_and_classes() -> None:
    kappa = {"audio": np.array([0.1, 0.5, 0.9])}
    rho = {"audio": np.array([3.0, np.nan, 1.0])}
    _, account = describe(("x", "y", "z"), kappa, rho, RULE, 1.0)
    assert account["audio"] == {
        "kappa_threshold": 0.5,
        "rho_threshold": 2.0,
        "below_kappa": ["x"],
        "below_rho": ["z"],
    }


def test_distances_are_in_medians_of_each_of_the_clip_s_classes() -> None:
    points = np.array([[-2.0, 0], [0, 0], [2, 0], [0, 7]])
    labels = np.array([[1, 0], [1, 0], [1, 1], [0, 1]])
    distances = relative_distances(points, labels, ALL[: len(points)], p=2.0)
    # class 0: centre 0, distances 2 0 2, median 2; class 1: two clips, equally far from the middle
    assert distances == pytest.approx([1, 0, 1, 1, 1])


def test_coinciding_and_lonely_clips_are_all_at_one_median() -> None:
    points = np.array([[1.0, 1], [1, 1], [1, 1], [5, 5]])
    labels = np.array([[1, 0], [1, 0], [1, 0], [0, 1]])
    assert relative_distances(points, labels, ALL[: len(points)], p=2.0).tolist() == [1, 1, 1, 1]


@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_distances_do_not_depend_on_the_embedding_s_unit_or_place(seed: int, unit: float) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(12, 3))
    labels = rng.integers(0, 2, size=(12, 3))
    distances = relative_distances(points, labels, ALL[: len(points)], p=2.0)
    moved = relative_distances(points * unit + 7.0, labels, ALL[: len(points)], p=2.0)
    assert distances.size == np.count_nonzero(labels)
    assert moved == pytest.approx(distances, rel=1e-6, abs=1e-9)


def test_a_clip_without_a_vector_moves_no_centre_and_counts_by_the_other_spaces() -> None:
    points = np.array([[-2.0], [0], [2], [500]])
    labels = np.ones((4, 1), dtype=np.uint8)
    present = np.array([True, True, True, False])
    heard = relative_distances(points, labels, present, p=2.0)
    assert heard[:3].tolist() == [1, 0, 1]
    assert np.isnan(heard[3])
    seen = np.array([3.0, np.nan, 1.0, 0.5])
    assert mean_distances([heard, seen]).tolist() == [2, 0, 1, 0.5]
    assert mean_distances([heard]).tolist() == [1, 0, 1, 1]


def test_distances_are_handed_out_in_label_order() -> None:
    labels = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    found = by_clip(["a", "b", "c"], labels, np.array([0.5, 1.5, 2.5]))
    assert found == {"a": (0.5, 1.5), "b": (), "c": (2.5,)}


def example() -> Guide:
    return Guide(
        classes=("x", "y"),
        class_weight=np.array([0.25, 0.75]),
        beta={"audio": np.array([1.0, 2.0]), "video": np.array([1.0, 1.5])},
        temperature=1.0,
        same_class_share=np.array([0.5, 0.25]),
        distances={'a"b': (0.5, 1.25), "c": (), "d": (1.0,)},
    )


def test_a_guide_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "temperature.json"
    text = to_json(example(), {"thresholds": {"audio": {"kappa_threshold": None}}})
    path.write_text(text, encoding="utf-8")
    assert json.loads(text)["thresholds"] == {"audio": {"kappa_threshold": None}}
    guide = read_guide(path)
    assert guide is not None
    assert guide.distances == example().distances
    assert guide.classes == example().classes
    assert guide.class_weight is not None
    assert guide.class_weight.tolist() == [0.25, 0.75]
    assert guide.same_class_share is not None
    assert guide.same_class_share.tolist() == [0.5, 0.25]
    assert guide.beta["video"].tolist() == [1.0, 1.5]


@pytest.mark.parametrize("text", ['{"A": 0.2, "V": 0.4, "AV": 0.4}', "[]", "{", '"x"'])
def test_another_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "blend.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"blend\.json"):
        read_guide(path)


@pytest.mark.parametrize(
    "change",
    [
        {"class_weight": {"x": "much", "y": 1}},
        {"class_weight": {"x": 1.0}},
        {"beta": {}},
        {"beta": {"audio": {"x": 0, "y": 1}}},
        {"temperature": math.nan},
        {"distances": {"c": 1.0}},
    ],
)
def test_a_guide_that_cannot_steer_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "mine.json"
    values = open_json(to_json(example(), {}))
    path.write_text(json.dumps(values), encoding="utf-8")
    assert read_guide(path) is not None
    path.write_text(json.dumps(values | change), encoding="utf-8")
    with pytest.raises(UserError, match=r"mine\.json: not a guide for mixup"):
        read_guide(path)


def test_the_empty_guide_is_none_and_an_absent_one_an_error(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    path.write_text("{}\n", encoding="utf-8")
    assert read_guide(path) is None
    with pytest.raises(UserError, match="no such file"):
        read_guide(tmp_path / "other.json")
