"""Intervals and corrections against closed forms, scipy and simulated draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from mmlib.metrics import intervals
from mmlib.metrics.ranking import (
    present_mean,
    rank,
)
from mmlib.metrics.scores.bootstrap import (
    rank_resampled,
    resample_counts,
)


@given(st.integers(1, 500), st.data())
def test_share_intervals_equal_their_definitions(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    share = successes / trials
    z = reference.norm.ppf(0.975)
    centre, half = (
        share + z**2 / (2 * trials),
        z * np.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2),
    )
    found = intervals.share_interval(successes, trials, 0.95, "wilson")
    expected = np.array([centre - half, centre + half]) / (1 + z**2 / trials)
    assert found[1:] == pytest.approx(expected, abs=1e-12)
    exact = intervals.share_interval(successes, trials, 0.95, "exact")
    tails = (
        reference.binom.sf(successes - 1, trials, exact.lo),
        reference.binom.cdf(successes, trials, exact.hi),
    )
    assert successes == 0 or tails[0] == pytest.approx(0.025)
    assert successes == trials or tails[1] == pytest.approx(0.025)
    for estimate, lo, hi in (found, exact):
        assert 0 <= lo <= estimate == share <= hi <= 1


def test_share_intervals_without_trials_and_out_of_range() -> None:
    assert np.isnan(intervals.share_interval(0, 0, 0.95, "wilson")).all()
    with pytest.raises(ValueError, match="must not be greater"):
        intervals.share_interval(3, 2, 0.95, "exact")


def test_bootstrap_interval_by_hand_leaves_out_undefined_resamples() -> None:
    samples = np.append(np.array([0.4, 0.6]), np.nan)
    z = 1.959963984540054
    half = z * np.sqrt(0.02)
    expected = (0.45, 0.4 - half, 0.4 + half)
    assert intervals.bootstrap_interval(samples, 0.45, 0.95) == pytest.approx(expected)
    assert np.isnan(intervals.bootstrap_interval([np.nan], 0.4, 0.9).lo)
    assert intervals.bootstrap_interval([0.3] * 9, 0.3, 0.95) == pytest.approx((0.3, 0.3, 0.3))


def test_bootstrap_p_agrees_with_the_interval_and_knows_the_edges() -> None:
    samples = np.random.default_rng(0).normal(0.3, 0.1, (2, 400))
    (p, _) = intervals.bootstrap_p(samples, [0.3, 0.3])
    assert intervals.bootstrap_interval(samples[0], 0.3, 1 - p).lo == pytest.approx(0, abs=1e-9)
    equal = np.array([[0.0] * 99, [0.5] * 99, [np.nan] * 99])
    np.testing.assert_allclose(
        intervals.bootstrap_p(equal, [0.0, 0.5, 0.5]), [1.0, 2 / 100, np.nan]
    )


@pytest.mark.parametrize("shifts", [(1.0, 1.0), (2.0, 1.0)], ids=["one mAP", "a difference"])
def test_intervals_of_a_map_hold_the_truth_as_often_as_they_say(
    shifts: tuple[float, float],
) -> None:
    """A percentile interval of the same resamples does so in about 70 % of the draws."""
    one = shifts[0] == shifts[1]
    means = [_true_ap(shift) for shift in shifts]
    truth = means[0] if one else means[0] - means[1]
    held, draws = 0, 200
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        labels = rng.random((200, 6)) < 0.17
        noise = rng.standard_normal((200, 6))
        counts = resample_counts(200, 200, draw)
        found = [
            (
                present_mean(rank(labels, noise + shift * labels).average_precision),
                rank_resampled(labels, noise + shift * labels, counts).mean_average_precision(),
            )
            for shift in shifts
        ]
        estimate, samples = found[0]
        if not one:
            estimate, samples = estimate - found[1][0], samples - found[1][1]
        interval = intervals.bootstrap_interval(samples, estimate, 0.95)
        held += interval.lo <= truth <= interval.hi
    assert 0.89 * draws <= held <= 0.99 * draws


def _true_ap(shift: float) -> float:
    """AP of so many clips that its own error does not count."""
    rng = np.random.default_rng(0)
    labels = rng.random((200_000, 1)) < 0.17
    return present_mean(rank(labels, rng.standard_normal(labels.shape) + shift * labels)[0])


P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@given(P_VALUES)
def test_corrections(p: list[float]) -> None:
    values = np.array(p)
    adjusted = intervals.holm(values)
    assert (adjusted >= values).all()
    assert (adjusted <= np.minimum(1, values * len(p)) + 1e-12).all()
    assert (adjusted + 1e-12 >= reference.false_discovery_control(values)).all()


def test_holm_by_hand_with_a_missing_value() -> None:
    adjusted = intervals.holm([0.01, np.nan, 0.04, 0.03])
    np.testing.assert_allclose(adjusted, [0.03, np.nan, 0.06, 0.06])
