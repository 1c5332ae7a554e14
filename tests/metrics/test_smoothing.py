"""Certificates from counts: Clopper and Pearson's bounds, the worst ranking, closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri
from scipy.stats import binom
from sklearn.metrics import average_precision_score

from mmlib.metrics.ranking import lowest_average_precision
from mmlib.metrics.smoothing import (
    Decisions,
    Scores,
    bound,
    certified_ap,
    certified_mean_ap,
    certified_share,
    decide,
    joint,
    largest_reach,
    lowest_z,
)


@given(draws=st.integers(1, 2000), alpha=st.floats(1e-9, 0.2), data=st.data())
def test_the_lower_bound_is_clopper_and_pearson_s(
    draws: int, alpha: float, data: st.DataObject
) -> None:
    """At the bound so many hits or more have a chance of exactly alpha."""
    hits = data.draw(st.integers(0, draws))
    z = float(lowest_z(hits, draws, alpha))
    if hits == 0:
        assert z == -np.inf
    else:
        assert binom.sf(hits - 1, draws, ndtr(z)) == pytest.approx(alpha, rel=1e-6)
    both = bound(np.array([[hits]]), draws, alpha)
    assert both.low[0, 0] == z
    assert both.high[0, 0] == -float(lowest_z(draws - hits, draws, alpha))
    assert both.low[0, 0] <= ndtri(hits / draws) <= both.high[0, 0]


def test_where_all_draws_agree_the_reach_is_the_largest() -> None:
    found = decide(np.array([[100, 0]]), 100, np.array([[1000, 0]]), 1000, 0.001)
    assert found.shown.tolist() == [[True, False]]
    assert found.reach[0].tolist() == pytest.approx([largest_reach(1000, 0.001)] * 2)
    assert largest_reach(100_000, 0.001) == pytest.approx(3.8115, abs=1e-4)  # 4 sigma nearly


def test_what_the_draws_cannot_tell_is_an_abstention() -> None:
    """Too near to one half, or the other way than the first draws had it."""
    first, hits = np.array([[60, 60, 50, 40]]), np.array([[510, 300, 490, 300]])
    found = decide(first, 100, hits, 1000, 0.001)
    assert found.shown.tolist() == [[True, True, False, False]]
    assert np.isnan(found.reach[0]).tolist() == [True, True, True, False]
    assert certified_share(found, found.shown, np.ones((1, 4), np.bool_), 0.0) == 0.25


def test_an_exact_radius_is_found_within_five_percent_at_ten_thousand_draws() -> None:
    """Of a decision with margin m a smoothed linear model has p = Phi(m / (sigma ||w||)).

    So the exact reach is m / (sigma ||w||). What is certified falls short by less than 5 % on
    average where sigma is such that it lies between 1 and 2.25: nearer to 0 a share of one half is
    in the way, further out the number of draws.
    """
    exact = np.linspace(1.0, 2.25, 6)
    hits = np.random.default_rng(0).binomial(10_000, ndtr(exact), (400, 6))
    found = decide(np.full_like(hits, 100), 100, hits, 10_000, 0.001)
    assert (found.reach <= exact).mean() >= 0.999
    assert (1 - found.reach / exact).mean(0).max() < 0.05
    assert (1 - found.reach / exact).max() < 0.12


def test_a_radius_is_wrong_no_more_often_than_is_said() -> None:
    hits = np.random.default_rng(1).binomial(200, ndtr(0.7), (20_000, 1))
    found = decide(np.full_like(hits, 9), 10, hits, 200, 0.05)
    assert (found.reach > 0.7).mean() < 0.05


numbers = st.floats(-3, 3).map(lambda x: round(x, 1))


@given(
    rows=st.lists(
        st.tuples(st.booleans(), numbers, st.floats(0, 2), st.floats(0, 1)), min_size=2, max_size=12
    ),
    reach=st.floats(0, 2),
    step=st.sampled_from([0.1, 0.5, 2.0]),
)
def test_no_ranking_within_the_bounds_scores_less(
    rows: list[tuple[bool, float, float, float]], reach: float, step: float
) -> None:
    """Any scores that the bounds allow, ties among them, by scikit-learn's average precision."""
    truth = np.array([row[0] for row in rows])
    if not truth.any():
        return
    middle, width, place = np.array([row[1:] for row in rows]).T
    low, high = middle - width / 2, middle + width / 2
    attacked = np.where(truth, low - reach + place * 3, high + reach - place * 3)
    # Coarse steps away from the bound make ties.
    attacked = np.where(truth, np.ceil(attacked / step), np.floor(attacked / step)) * step
    bounds = Scores(low[:, None], high[:, None])
    certified = certified_ap(truth[:, None], bounds, reach)[0]
    assert average_precision_score(truth, attacked) >= certified - 1e-12


def test_exact_scores_give_the_average_precision_itself_and_no_reach_the_least() -> None:
    rng = np.random.default_rng(2)
    labels, z = rng.random((50, 4)) < 0.2, rng.standard_normal((50, 4))
    labels[:, 3] = False
    exact = Scores(z, z)
    expected = [average_precision_score(labels[:, k], z[:, k]) for k in range(3)]
    assert certified_ap(labels, exact, 0.0)[:3] == pytest.approx(expected)
    assert np.isnan(certified_ap(labels, exact, 0.0)[3])
    assert certified_mean_ap(labels, exact, 0.0) == pytest.approx(np.mean(expected))
    everything = certified_ap(labels, exact, 1e9)
    np.testing.assert_allclose(everything, lowest_average_precision(labels))
    curve = [certified_mean_ap(labels, exact, reach) for reach in np.linspace(0, 3, 20)]
    assert curve == sorted(curve, reverse=True)


def test_ties_are_broken_against_the_classifier() -> None:
    labels = np.array([[True], [True], [False]])
    tied = Scores(np.zeros((3, 1)), np.zeros((3, 1)))
    assert certified_ap(labels, tied, 0.0)[0] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert average_precision_score(labels[:, 0], np.zeros(3)) == pytest.approx(2 / 3)


def test_joint_statements_share_the_error() -> None:
    assert joint(0.001, 50) == 0.001 / 50
    some = Decisions(np.array([[True]]), np.array([[np.inf]]))
    assert certified_share(some, some.shown, some.shown, 9.0) == 1
    assert np.isnan(certified_share(some, some.shown, ~some.shown, 9.0))
