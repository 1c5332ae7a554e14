"""Intervals, correlations and corrections against closed forms, scipy and the authors' table."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from mmlib import stats


@given(st.integers(1, 500), st.data())
def test_share_intervals_equal_scipy(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    test = reference.binomtest(successes, trials)
    for ours, name in ((stats.wilson, "wilson"), (stats.clopper_pearson, "exact")):
        expected = test.proportion_ci(0.95, method=name)
        lo, hi = ours(successes, trials, 0.95)
        assert lo == pytest.approx(expected.low, abs=1e-12)
        assert hi == pytest.approx(expected.high, abs=1e-12)
        assert 0 <= lo <= successes / trials <= hi <= 1


def test_share_intervals_without_trials_and_out_of_range() -> None:
    assert np.isnan(stats.wilson(0, 0, 0.95)).all()
    assert np.isnan(stats.clopper_pearson(0, 0, 0.95)).all()
    with pytest.raises(ValueError, match="between 0 and trials"):
        stats.wilson(3, 2, 0.95)


def test_percentile_interval_leaves_out_undefined_resamples() -> None:
    samples = np.append(np.arange(101) / 100, np.nan)
    assert stats.percentile_interval(samples, 0.4, 0.9) == pytest.approx((0.4, 0.05, 0.95))
    assert np.isnan(stats.percentile_interval([np.nan], 0.4, 0.9).lo)


def test_sign_p() -> None:
    samples = np.array([[1.0] * 99, [1.0] * 50 + [-1.0] * 49, [np.nan] * 99])
    np.testing.assert_allclose(stats.sign_p(samples), [2 / 100, 1.0, np.nan])


P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@given(P_VALUES)
def test_corrections(p: list[float]) -> None:
    values = np.array(p)
    np.testing.assert_allclose(
        stats.benjamini_hochberg(values), reference.false_discovery_control(values), atol=1e-12
    )
    adjusted = stats.holm(values)
    assert (adjusted >= values).all()
    assert (adjusted <= np.minimum(1, values * len(p)) + 1e-12).all()
    assert (adjusted + 1e-12 >= stats.benjamini_hochberg(values)).all()


def test_holm_by_hand_with_a_missing_value() -> None:
    adjusted = stats.holm([0.01, np.nan, 0.04, 0.03])
    np.testing.assert_allclose(adjusted, [0.03, np.nan, 0.06, 0.06])


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_correlations_equal_scipy(method: stats.Method) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 6, 80).astype(float)
    y = x + rng.integers(0, 8, 80)
    found = stats.correlate(x, y, method=method, resamples=200)
    expected = getattr(reference, f"{method}r")(x, y)
    assert found.r == pytest.approx(expected.statistic, abs=1e-12)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.lo < found.r < found.hi


def test_partial_correlation_closed_form_and_common_cause() -> None:
    rng = np.random.default_rng(2)
    cause = rng.standard_normal(400)
    x, y = cause + 0.5 * rng.standard_normal(400), cause + 0.5 * rng.standard_normal(400)
    (xy, xz), yz = np.corrcoef([x, y, cause])[0, 1:], np.corrcoef(y, cause)[0, 1]
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    partial = stats.correlate(x, y, given=cause, resamples=500)
    assert partial.r == pytest.approx(expected, abs=1e-12)
    assert partial.lo < 0 < partial.hi
    assert stats.correlate(x, y).lo > 0.7
    # a covariate said twice, and one that says nothing, change nothing
    again = stats.correlate(x, y, given=np.column_stack([cause, 3 * cause, np.ones(400)]))
    assert again.r == pytest.approx(partial.r, abs=1e-9)


def test_undefined_correlations_are_nan() -> None:
    x = np.arange(10.0)
    assert np.isnan(stats.correlate(x, np.ones(10)).r)
    assert np.isnan(stats.correlate(x, x**2, given=x * 5).r)
    assert np.isnan(stats.correlate(x[:3], x[:3]).r)
    holes = np.where(x > 6, np.nan, x)
    assert stats.correlate(x, holes).n == 7


def test_bootstrap_interval_covers_and_is_seeded() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(100):
        x = rng.standard_normal(60)
        y = 0.6 * x + 0.8 * rng.standard_normal(60)
        found = stats.correlate(x, y, resamples=300, seed=trial)
        covered += found.lo <= 0.6 <= found.hi
    assert 86 <= covered <= 100
    assert stats.correlate(x, y, seed=5) == stats.correlate(x, y, seed=5)


@pytest.fixture(scope="module")
def authors(shared_dir: Path) -> dict[str, np.ndarray]:
    with (shared_dir / "data" / "authors_per_class.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    names = ("train_label_count", "kappa_p01", "ap_clean_latefusion0427", "ap_adv_latefusion0033")
    return {name: np.array([float(row[name]) for row in rows]) for name in names}


def test_authors_table_kappa_does_not_predict_the_drop(authors: dict[str, np.ndarray]) -> None:
    clean, attacked = authors["ap_clean_latefusion0427"], authors["ap_adv_latefusion0033"]
    kappa, drop = authors["kappa_p01"], 1 - attacked / clean
    against_drop = stats.correlate(kappa, drop)
    assert against_drop.n == 527
    assert against_drop.r == pytest.approx(0.005, abs=0.001)
    assert against_drop.lo < 0 < against_drop.hi
    against_clean = stats.correlate(kappa, clean)
    assert against_clean.r == pytest.approx(0.70, abs=0.005)
    assert against_clean.lo > 0.6
