"""Intervals and corrections against closed forms, scipy and simulated draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from mmlib.metrics import intervals


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


def test_jackknife_interval_by_hand() -> None:
    values = np.array([0.2, 0.4, 0.6])
    error = np.hypot(0.2 / np.sqrt(3), intervals.BIAS_ERROR * 0.1)
    expected = (0.5, 0.4 - 1.959963984540054 * error, 0.4 + 1.959963984540054 * error)
    assert intervals.jackknife_interval(values, 0.5, 0.95) == pytest.approx(expected)
    assert np.isnan(intervals.jackknife_interval([0.3], 0.3, 0.95)[1:]).all()
    assert np.isnan(intervals.jackknife_interval([np.nan] * 3, np.nan, 0.95)[1:]).all()


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=30), st.floats(-1, 1))
def test_jackknife_p_agrees_with_its_interval(values: list[float], estimate: float) -> None:
    p = intervals.jackknife_p(values, estimate)
    found = intervals.jackknife_interval(values, estimate, 0.95)
    assert 0 <= p <= 1
    if abs(p - 0.05) > 1e-6:
        assert (p < 0.05) == (found.lo > 0 or found.hi < 0)


def test_jackknife_p_knows_the_edges() -> None:
    assert intervals.jackknife_p([0.0] * 9, 0.0) == 1
    assert intervals.jackknife_p([0.3] * 9, 0.3) == 0
    assert intervals.jackknife_interval([0.3] * 9, 0.3, 0.95) == pytest.approx((0.3, 0.3, 0.3))
    assert np.isnan(intervals.jackknife_p([np.nan, np.nan], np.nan))


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
