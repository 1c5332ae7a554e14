"""The rule that turns convexity and density into a guide for mixup."""

import json
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
    neutral,
    relative_distances,
    shortfall,
)
from mmlib.runtime.errors import UserError
from tests.conftest import ROOT

RULE = load(ROOT / "params.yaml").temperature.rule

ALL = np.ones(12, dtype=np.bool_)

shares = arrays(np.float64, 6, elements=st.floats(0, 1))
values = arrays(np.float64, 6, elements=st.floats(-5, 5))


def rule(**changes: Any) -> MixupRule:
    return RULE.model_copy(update=changes)


def test_class_weights_are_the_formula() -> None:
    weights = class_weights(np.array([0.5, 0.9, 0.6]), np.array([3, 3, 3]), gamma=2.0, floor=0.01)
    assert weights == pytest.approx(np.array([0.25, 0.01, 0.16]) / 0.42)


def test_gamma_zero_is_uniform_over_the_classes_that_have_clips() -> None:
    weights = class_weights(np.array([0.1, 0.9, 0.5]), np.array([9, 1, 0]), gamma=0.0, floor=0.01)
    assert weights.tolist() == [0.5, 0.5, 0.0]


def test_perfectly_convex_classes_are_seldom_anchors_but_not_never() -> None:
    weights = class_weights(np.array([1.0, 1.0, 0.5]), np.ones(3, int), gamma=1.0, floor=0.01)
    assert weights == pytest.approx(np.array([0.01, 0.01, 0.5]) / 0.52)


def test_no_clip_at_all_is_an_error() -> None:
    with pytest.raises(UserError, match="no class has a clip"):
        class_weights(np.array([0.5]), np.array([0]), gamma=1.0, floor=0.01)


@given(shares, st.floats(0, 5), st.floats(1e-3, 1))
def test_class_weights_sum_to_one_and_fall_with_kappa(
    kappa: np.ndarray, gamma: float, floor: float
) -> None:
    weights = class_weights(kappa, np.ones(6, int), gamma=gamma, floor=floor)
    assert weights.sum() == pytest.approx(1)
    assert (np.diff(weights[np.argsort(kappa)]) <= 1e-12).all()


def test_shortfall_is_measured_from_the_median_of_the_measured() -> None:
    threshold, gap = shortfall(np.array([0.2, np.nan, 0.5, 0.9, -np.inf]), 0.5)
    assert threshold == 0.5
    assert gap == pytest.approx([0.3, 0, 0, 0, 0])


def test_nothing_measured_falls_short_of_nothing() -> None:
    threshold, gap = shortfall(np.full(3, np.nan), 0.5)
    assert np.isnan(threshold)
    assert gap.tolist() == [0, 0, 0]


def test_beta_parameters_are_the_formula_and_clipped() -> None:
    a = beta_parameters(
        np.array([0.0, 0.2, 9.0]),
        np.array([0.0, 0.1, 0.0]),
        rule(base=0.5, kappa_slope=2.0, rho_slope=3.0, limit=4.0),
    )
    assert a == pytest.approx([0.5, 0.5 * 1.7, 2.0])


@given(values, values, st.floats(0.1, 5), st.floats(0, 5), st.floats(0, 5), st.floats(1, 8))
def test_beta_parameters_stay_between_base_and_limit(
    kappa: np.ndarray, rho: np.ndarray, base: float, b: float, b2: float, limit: float
) -> None:
    chosen = rule(base=base, kappa_slope=b, rho_slope=b2, limit=limit)
    a = beta_parameters(shortfall(kappa, 0.5)[1], shortfall(rho, 0.5)[1], chosen)
    assert (a >= base * (1 - 1e-12)).all()
    assert (a <= base * limit * (1 + 1e-12)).all()


def test_slopes_of_zero_give_every_class_the_base() -> None:
    metrics = {"audio": np.array([0.1, 0.9])}
    beta, _ = describe(("x", "y"), metrics, metrics, rule(kappa_slope=0.0, rho_slope=0.0))
    assert beta["audio"].tolist() == [RULE.base] * 2


def test_the_account_names_thresholds_and_classes() -> None:
    kappa = {"audio": np.array([0.1, 0.5, 0.9])}
    rho = {"audio": np.array([3.0, np.nan, 1.0])}
    _, account = describe(("x", "y", "z"), kappa, rho, RULE)
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


def test_unmeasured_classes_get_the_median_kappa() -> None:
    assert neutral(np.array([0.2, np.nan, 0.4])).tolist() == pytest.approx([0.2, 0.3, 0.4])
    with pytest.raises(UserError, match="kappa is missing"):
        neutral(np.array([np.nan]))


def example() -> Guide:
    return Guide(
        classes=("x", "y"),
        class_weight=np.array([0.25, 0.75]),
        beta={"audio": np.array([1.0, 2.0]), "video": np.array([1.0, 1.5])},
        temperature=1.0,
        same_class_share=0.5,
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
    assert guide.beta["video"].tolist() == [1.0, 1.5]


@pytest.mark.parametrize("text", ['{"A": 0.2, "V": 0.4, "AV": 0.4}', "[]", "{", '"x"'])
def test_another_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "blend.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"blend\.json"):
        read_guide(path)


def test_the_empty_guide_is_none_and_an_absent_one_an_error(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    path.write_text("{}\n", encoding="utf-8")
    assert read_guide(path) is None
    with pytest.raises(UserError, match="no such file"):
        read_guide(tmp_path / "other.json")
