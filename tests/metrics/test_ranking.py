"""Metrics against scikit-learn, closed forms and invariants."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, roc_auc_score

from mmlib.metrics import ranking
from tests.properties import examples


@pytest.mark.parametrize(("positives", "clips"), [(1, 1), (1, 6), (2, 6), (5, 6), (6, 6)])
def test_random_rankings_average_to_the_closed_form(positives: int, clips: int) -> None:
    found = []
    for chosen in combinations(range(clips), positives):
        labels = np.isin(np.arange(clips), chosen)[:, None]
        found.append(ranking.average_precision(labels, -np.arange(clips)[:, None])[0])
    closed = ranking.random_average_precision(np.array([positives, 0]), clips)
    assert closed[0] == pytest.approx(np.mean(found))
    assert np.isnan(closed[1])
    # towards the share of positives as clips grow in number
    many = ranking.random_average_precision(np.array([100_000]), 1_000_000)
    assert many[0] == pytest.approx(0.1, abs=2e-5)


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores with many ties: few distinct values in any float type."""
    clips, classes = draw(st.integers(2, 40)), draw(st.integers(1, 5))
    dtype = draw(st.sampled_from([np.float16, np.float32, np.float64]))
    values = draw(arrays(np.int8, (clips, classes), elements=st.integers(-3, 3)))
    labels = draw(arrays(np.uint8, (clips, classes), elements=st.integers(0, 1)))
    return labels, (values / 7).astype(dtype)


@examples(200)
@given(scored())
def test_equals_scikit_learn_with_ties(pair: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = pair
    ours = ranking.rank(labels, scores)
    for column in range(labels.shape[1]):
        truth, values = labels[:, column], scores[:, column]
        if truth.any():
            expected = average_precision_score(truth, values)
            assert ours.average_precision[column] == pytest.approx(expected, abs=1e-12)
        else:
            assert np.isnan(ours.average_precision[column])
        if truth.any() and not truth.all():
            assert ours.roc_auc[column] == pytest.approx(roc_auc_score(truth, values), abs=1e-12)
        else:
            assert np.isnan(ours.roc_auc[column])


def test_threaded_path_equals_scikit_learn(rng: np.random.Generator) -> None:
    labels = rng.random((3000, 400)) < 0.02
    labels[0] = True
    scores = (rng.standard_normal(labels.shape) + labels).astype(np.float16)
    ours = ranking.rank(labels, scores)
    precision = average_precision_score(labels, scores, average=None)
    auc = roc_auc_score(labels, scores, average=None)
    np.testing.assert_allclose(ours.average_precision, precision, atol=1e-12, rtol=0)
    np.testing.assert_allclose(ours.roc_auc, auc, atol=1e-12, rtol=0)


def test_close_float64_scores_are_not_merged_into_ties() -> None:
    scores = np.array([1.0, 1.0 + 1e-12])
    assert ranking.average_precision(np.array([0, 1]), scores)[0] == 1.0


@given(scored())
def test_order_of_clips_and_monotone_maps_change_nothing(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, scores = pair
    wide = scores.astype(np.float64)
    expected = ranking.rank(labels, wide)
    for other in (ranking.rank(labels[::-1], wide[::-1]), ranking.rank(labels, np.exp(wide))):
        np.testing.assert_allclose(other.average_precision, expected.average_precision, atol=1e-15)
        np.testing.assert_array_equal(other.roc_auc, expected.roc_auc)


def test_a_constant_score_gives_prevalence_and_one_half() -> None:
    labels = np.repeat([[1, 0]], 3, axis=0)
    labels = np.vstack([labels, np.repeat([[0, 1]], 9, axis=0)])
    ours = ranking.rank(labels, np.zeros(labels.shape))
    np.testing.assert_allclose(ours.average_precision, [3 / 12, 9 / 12])
    np.testing.assert_allclose(ours.roc_auc, 0.5)


def test_dprime_is_its_definition() -> None:
    assert float(ranking.dprime(0.963)) == pytest.approx(2.526, abs=1e-3)
    assert float(ranking.dprime(0.5)) == 0.0
    assert float(ranking.dprime(1.0)) == np.inf
    # the paper's attacked rows do not satisfy it: AUC 0.891 is printed with 1.983
    assert float(ranking.dprime(0.891)) == pytest.approx(1.742, abs=1e-3)


def test_both_forms_of_dprime_and_skipped_classes(rng: np.random.Generator) -> None:
    labels = rng.random((200, 4)) < 0.3
    labels[:, 3] = False
    scores = rng.standard_normal((200, 4)) + labels * np.array([0.2, 1.0, 3.0, 0.0])
    found = ranking.summary(labels, scores, "multi_label")
    auc = ranking.roc_auc(labels, scores)[:3]
    assert found["skipped_classes"] == 1
    assert found["AUC"] == pytest.approx(auc.mean())
    assert found["dprime"] == pytest.approx(float(ranking.dprime(auc.mean())))
    assert found["dprime_class_mean"] == pytest.approx(ranking.dprime(auc).mean())
    assert found["dprime_class_mean"] > found["dprime"]
    assert "accuracy" not in found


def test_single_label_adds_accuracy() -> None:
    labels = np.eye(3)[[0, 1, 2, 2]]
    scores = np.eye(3)[[0, 1, 1, 2]]
    assert ranking.summary(labels, scores, "single_label")["accuracy"] == 0.75


def test_drops() -> None:
    np.testing.assert_allclose(ranking.absolute_drop([0.5, 0.2], [0.1, 0.3]), [0.4, -0.1])
    np.testing.assert_allclose(ranking.relative_drop([0.5, 0.0], [0.1, 0.3]), [0.8, np.nan])


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        (np.ones((2, 1)), np.array([[0.0], [np.nan]]), "1 clips have NaN scores"),
        (np.ones((2, 1)), np.ones((2, 2)), "must both be"),
        (np.ones((0, 1)), np.ones((0, 1)), "no clips"),
        (np.full((2, 1), 0.5), np.ones((2, 1)), "must be 0 or 1"),
    ],
)
def test_unusable_input_is_refused(labels: np.ndarray, scores: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ranking.rank(labels, scores)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_a_class_ranked_perfectly_and_one_backwards_have_no_mean() -> None:
    labels = np.array([[1, 1], [0, 0]])
    found = ranking.summary(labels, np.array([[1.0, 0.0], [0.0, 1.0]]), "multi_label")
    assert (found["AUC"], found["dprime"]) == (0.5, 0.0)
    assert np.isnan(found["dprime_class_mean"])


@given(positives=st.integers(0, 12), clips=st.integers(1, 12), seed=st.integers(0, 99))
def test_nothing_ranks_below_the_lowest_average_precision(
    positives: int, clips: int, seed: int
) -> None:
    labels = (np.arange(clips) < positives)[:, None]
    (lowest,) = ranking.lowest_average_precision(labels)
    if not positives:
        assert np.isnan(lowest)
        return
    last = np.arange(clips, dtype=np.float64)[:, None]
    assert lowest == pytest.approx(ranking.average_precision(labels, last)[0], abs=1e-12)
    drawn = np.random.default_rng(seed).integers(0, 5, (clips, 1)).astype(np.float64)
    assert ranking.average_precision(labels, drawn)[0] >= lowest - 1e-12
