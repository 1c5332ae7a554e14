"""The power of a correlation over classes, against draws tested as the report tests them."""

import numpy as np
import pytest
from scipy import stats as reference

from mmlib.report.comparison.correlation import correlate
from mmlib.report.comparison.power import detectable, power


def drawn(r: float, rows: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Columns with a partial correlation `r` given two more that both follow."""
    given, noise = rng.standard_normal((2, rows, 2))
    shared = given @ [1.0, -0.7]
    x = shared + noise[:, 0]
    return x, shared + r * noise[:, 0] + np.sqrt(1 - r * r) * noise[:, 1], given


@pytest.mark.parametrize("rows", [12, 40])
@pytest.mark.parametrize("level", [0.05, 0.05 / 12])
@pytest.mark.parametrize("r", [0.3, 0.6])
def test_power_is_how_often_the_test_finds(rows: int, level: float, r: float) -> None:
    rng = np.random.default_rng(0)
    draws, found = 500, 0
    for _ in range(draws):
        x, y, given = drawn(r, rows, rng)
        part = correlate(x, y, given=given, resamples=2)
        found += part.p < level and part.r > 0
    expected = power(r, rows=rows, covariates=2, level=level)
    # Within what draws and the approximation leave: four standard errors and 0.02.
    error = np.sqrt(expected * (1 - expected) / draws)
    assert found / draws == pytest.approx(expected, abs=4 * error + 0.02)


def test_without_a_correlation_half_the_level_is_found() -> None:
    for rows in (12, 40, 500):
        assert power(0.0, rows=rows, covariates=2, level=0.05) == pytest.approx(0.025, abs=0.006)


def test_power_rises_with_rows_size_and_level() -> None:
    by_rows = [power(0.5, rows=rows, covariates=2, level=0.05) for rows in (8, 12, 40, 527)]
    by_size = [power(r, rows=40, covariates=2, level=0.05) for r in (0.0, 0.3, 0.5, 0.6)]
    by_level = [power(0.5, rows=40, covariates=2, level=level) for level in (1e-4, 0.01, 0.05)]
    for values in (by_rows, by_size, by_level):
        assert values == sorted(values)
        assert values[0] < values[-1]
    assert power(0.9, rows=5, covariates=2, level=0.05) == 0


def test_many_rows_are_as_the_textbook_says() -> None:
    """n = 3 + ((z_a + z_b) / atanh r)^2 rows find r in 80 % of samples."""
    z = reference.norm.isf([0.025, 0.2]).sum()
    for r in (0.1, 0.2):
        rows = round(3 + (z / np.arctanh(r)) ** 2)
        assert power(r, rows=rows, covariates=0, level=0.05) == pytest.approx(0.8, abs=0.01)


def test_what_is_detectable_is_found_as_often_as_asked() -> None:
    for rows, level in ((12, 0.05), (40, 0.004), (527, 0.001)):
        r = detectable(0.8, rows=rows, covariates=2, level=level)
        found = power(r, rows=rows, covariates=2, level=level)
        assert found == pytest.approx(0.8, abs=0.02)
    assert detectable(0.8, rows=5, covariates=2, level=0.05) == 1
