"""The power of the test of a correlation: how often it would find a true one of a given size."""

import numpy as np
from scipy import stats as distributions


def power(r: float, *, rows: int, covariates: int, level: float) -> float:
    """The share of samples in which a true correlation `r` is found to be above 0.

    Found: the two-sided t test of `correlate` has p < `level`, and the coefficient is above 0.
    Covariates held fixed take a row each. Coefficients are normal on Fisher's scale, about the true
    one and its bias there, with variance 1 / (rows - 3 - covariates) [Fisher 1921]. 0 where there
    are too few rows for that.
    """
    left = rows - covariates
    if left < 4:
        return 0.0
    freedom = left - 2
    t = distributions.t.isf(level / 2, freedom)
    smallest = t / np.sqrt(freedom + t * t)
    middle = np.arctanh(r) + r / (2 * (left - 1))
    distance = (middle - np.arctanh(smallest)) * np.sqrt(left - 3)
    return float(distributions.norm.cdf(distance))


def detectable(share: float, *, rows: int, covariates: int, level: float) -> float:
    """The true correlation that is found in this share of samples; 1 where none is."""
    candidates = np.linspace(0, 0.999, 1000)
    found = [power(r, rows=rows, covariates=covariates, level=level) for r in candidates]
    at = int(np.searchsorted(found, share))
    return float(candidates[at]) if at < len(candidates) else 1.0
