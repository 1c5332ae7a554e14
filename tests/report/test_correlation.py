"""Correlations against closed forms, scipy and the authors' table."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as reference

from mmlib.report.comparison.correlation import (
    Method,
    correlate,
)


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_correlations_equal_scipy(method: Method) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 6, 80).astype(float)
    y = x + rng.integers(0, 8, 80)
    found = correlate(x, y, method=method, resamples=200)
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
    partial = correlate(x, y, given=cause, resamples=500)
    assert partial.r == pytest.approx(expected, abs=1e-12)
    assert partial.lo < 0 < partial.hi
    assert correlate(x, y).lo > 0.7
    # a covariate said twice, and one that says nothing, change nothing
    again = correlate(x, y, given=np.column_stack([cause, 3 * cause, np.ones(400)]))
    assert again.r == pytest.approx(partial.r, abs=1e-9)


def test_undefined_correlations_are_nan() -> None:
    x = np.arange(10.0)
    assert np.isnan(correlate(x, np.ones(10)).r)
    assert np.isnan(correlate(x, x**2, given=x * 5).r)
    assert np.isnan(correlate(x[:3], x[:3]).r)
    holes = np.where(x > 6, np.nan, x)
    assert correlate(x, holes).n == 7


def test_intervals_cover_and_are_seeded() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(100):
        x = rng.standard_normal(60)
        y = 0.6 * x + 0.8 * rng.standard_normal(60)
        found = correlate(x, y, resamples=300, seed=trial)
        covered += found.lo <= 0.6 <= found.hi
    assert 86 <= covered <= 100
    assert correlate(x, y, seed=5) == correlate(x, y, seed=5)


@pytest.fixture(scope="module")
def authors(shared_dir: Path) -> dict[str, np.ndarray]:
    with (shared_dir / "data" / "authors_per_class.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    names = ("train_label_count", "kappa_p01", "ap_clean_latefusion0427", "ap_adv_latefusion0033")
    return {name: np.array([float(row[name]) for row in rows]) for name in names}


def test_authors_table_kappa_does_not_predict_the_drop(authors: dict[str, np.ndarray]) -> None:
    clean, attacked = authors["ap_clean_latefusion0427"], authors["ap_adv_latefusion0033"]
    kappa, drop = authors["kappa_p01"], 1 - attacked / clean
    against_drop = correlate(kappa, drop)
    assert against_drop.n == 527
    assert against_drop.r == pytest.approx(0.005, abs=0.001)
    assert against_drop.lo < 0 < against_drop.hi
    against_clean = correlate(kappa, clean)
    assert against_clean.r == pytest.approx(0.70, abs=0.005)
    assert against_clean.lo > 0.6
