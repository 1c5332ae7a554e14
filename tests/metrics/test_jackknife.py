"""Pseudo-values of mAP against deleting every clip the long way, and how often intervals hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference
from scipy.integrate import quad_vec

from mmlib.metrics.intervals import jackknife_interval
from mmlib.metrics.ranking import average_precision, present_mean
from mmlib.metrics.scores.jackknife import delete_each, pseudo_values
from mmlib.runtime.arrays import Bools, Floats
from tests.properties import examples


def long_way(truth: Bools, scores: Floats) -> float:
    """The mean precision of a class at its positives, none of which counts itself."""
    count = int(truth.sum())
    found = []
    for score in scores[truth]:
        rank = int((scores[truth] >= score).sum())
        negatives = int((scores[~truth] >= score).sum())
        expected = rank - 1 + rank / (count + 1)
        found.append(expected / (expected + negatives))
    return float(np.mean(found))


@examples(60)
@given(st.integers(2, 25), st.booleans(), st.integers(0, 10_000))
def test_equals_deleting_each_clip(clips: int, ties: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random(clips) < 0.3
    truth[0] = True
    scores = rng.standard_normal(clips)
    scores = np.round(scores) if ties else scores
    found, changes = delete_each(truth, scores)
    assert found == pytest.approx(long_way(truth, scores))
    for place in range(clips):
        kept = np.arange(clips) != place
        # a class whose only positive is deleted keeps its value
        left = long_way(truth[kept], scores[kept]) if truth[kept].any() else found
        assert found + changes[place] == pytest.approx(left)


def test_pseudo_values_are_those_of_the_mean_over_the_classes_that_are_there() -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.random((40, 3)) < 0.2, rng.standard_normal((40, 3))
    absent = np.column_stack([labels, np.zeros(40, np.bool_)])
    found = pseudo_values(absent, np.column_stack([scores, scores[:, 0]]))
    own, changes = zip(*(delete_each(labels[:, k], scores[:, k]) for k in range(3)), strict=True)
    np.testing.assert_allclose(found, np.mean(own) - 39 * np.mean(changes, axis=0))
    # exact to rounding in any order of the clips, and for half as many bits
    order = rng.permutation(40)
    moved = pseudo_values(labels[order], scores[order].astype(np.float32))
    np.testing.assert_allclose(moved, found[order], atol=1e-9)


def test_edges() -> None:
    labels = np.array([[1], [1], [0], [0]])
    np.testing.assert_allclose(pseudo_values(labels, labels.astype(float)), 1.0)
    assert np.isnan(pseudo_values(np.zeros((3, 2)), np.ones((3, 2)))).all()
    np.testing.assert_allclose(pseudo_values(np.ones((3, 1)), np.zeros((3, 1))), 1.0)
    with pytest.raises(ValueError, match="must both be"):
        pseudo_values(np.ones((3, 2)), np.ones((3, 1)))


def test_precision_is_that_of_the_population_where_ap_is_above_it() -> None:
    """A handful of positives: AP is a third too high, the mean of the pseudo-values is not."""
    truth = true_ap(0.02, 1.5)
    rng = np.random.default_rng(0)
    labels = rng.random((300, 400)) < 0.02
    scores = rng.standard_normal(labels.shape) + 1.5 * labels
    assert present_mean(average_precision(labels, scores)) > 1.3 * truth
    assert pseudo_values(labels, scores).mean() == pytest.approx(truth, rel=0.1)


def audioset(classes: int = 527) -> Floats:
    """Shares of the eval clips as AudioSet has them: a flat floor at 0.3 % and a few classes of
    many clips."""
    quantiles = [0, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 1]
    shares = np.array([0.0029, 0.003, 0.0036, 0.0052, 0.0085, 0.02, 0.033, 0.28])
    places = (np.arange(classes) + 0.5) / classes
    return np.asarray(np.exp(np.interp(places, quantiles, np.log(shares))))


SETTINGS = {
    "12 classes": (np.full(12, 0.17), 200, 150),
    "50 rare classes": (np.full(50, 0.02), 300, 100),
    "AudioSet, 1000 clips": (audioset(), 1000, 20),
    "AudioSet, 2000 clips": (audioset(), 2000, 12),
}


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("paired", [False, True], ids=["one mAP", "a difference"])
def test_intervals_hold_the_truth_in_nine_draws_of_ten(setting: str, paired: bool) -> None:
    """At least: a bias-corrected bootstrap does so in none of AudioSet's draws."""
    prevalence, clips, draws = SETTINGS[setting]
    rng = np.random.default_rng(3)
    shift = np.clip(rng.normal(2.0, 0.6, len(prevalence)), 0.3, 3.5)
    less = shift - 0.3
    truths = true_ap(prevalence, shift) - paired * true_ap(prevalence, less)
    held = 0
    for _ in range(draws):
        labels = rng.random((clips, len(prevalence))) < prevalence
        noise = rng.standard_normal(labels.shape)
        scores = noise + shift * labels
        pseudo, estimate = pseudo_values(labels, scores), _mean_ap(labels, scores)
        if paired:
            other = 0.8 * noise + 0.6 * rng.standard_normal(labels.shape) + less * labels
            pseudo = pseudo - pseudo_values(labels, other)
            estimate -= _mean_ap(labels, other)
        interval = jackknife_interval(pseudo, estimate, 0.95)
        held += interval.lo <= truths[labels.any(axis=0)].mean() <= interval.hi
    assert held >= reference.binom.ppf(0.001, draws, 0.9)


def _mean_ap(labels: Bools, scores: Floats) -> float:
    return present_mean(average_precision(labels, scores))


def true_ap(prevalence: Floats | float, shift: Floats | float) -> Floats:
    """AP of a population whose positives score N(shift, 1) and whose negatives score N(0, 1)."""

    def precision(recall: float) -> Floats:
        false = reference.norm.sf(reference.norm.isf(recall) + shift)
        return np.asarray(prevalence * recall / (prevalence * recall + (1 - prevalence) * false))

    return np.asarray(quad_vec(precision, 0, 1, epsrel=1e-4)[0])
