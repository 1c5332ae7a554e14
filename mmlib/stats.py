"""Intervals for shares and bootstraps, correlations, and corrections for many comparisons."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as distributions

Floats = NDArray[np.float64]
Method = Literal["pearson", "spearman"]

# A variable whose variance falls to this share once the covariates are taken out has nothing left
# but rounding: its partial correlation is undefined.
RESIDUAL_FLOOR = 1e-12


class Interval(NamedTuple):
    """An estimate with the ends of its confidence interval, in the estimate's unit."""

    estimate: float
    lo: float
    hi: float


def wilson(successes: ArrayLike, trials: ArrayLike, confidence: float) -> tuple[Floats, Floats]:
    """Wilson score interval of a share: (lo, hi) in [0, 1], broadcast; nan where trials is 0."""
    hits, count = _shares(successes, trials)
    z = float(distributions.norm.ppf(0.5 + confidence / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = hits / count
        centre = (share + z * z / (2 * count)) / (1 + z * z / count)
        half = z * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
        half = half / (1 + z * z / count)
    # rounding must not move the ends past the share at 0 and 1
    return np.minimum(np.maximum(centre - half, 0), share), np.maximum(
        np.minimum(centre + half, 1), share
    )


def clopper_pearson(
    successes: ArrayLike, trials: ArrayLike, confidence: float
) -> tuple[Floats, Floats]:
    """Exact binomial interval of a share, never covering less than `confidence`: (lo, hi)."""
    hits, count = _shares(successes, trials)
    tail = (1 - confidence) / 2
    with np.errstate(invalid="ignore"):
        lo = distributions.beta.ppf(tail, hits, count - hits + 1)
        hi = distributions.beta.ppf(1 - tail, hits + 1, count - hits)
    lo, hi = np.where(hits == 0, 0.0, lo), np.where(hits == count, 1.0, hi)
    return np.where(count == 0, np.nan, lo), np.where(count == 0, np.nan, hi)


def _shares(successes: ArrayLike, trials: ArrayLike) -> tuple[Floats, Floats]:
    hits, count = np.broadcast_arrays(
        np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    )
    if (hits < 0).any() or (hits > count).any():
        raise ValueError("successes must lie between 0 and trials")
    return hits, count


def percentile_interval(samples: ArrayLike, estimate: float, confidence: float) -> Interval:
    """Percentile bootstrap interval around `estimate`; resamples without a value are left out."""
    values = np.asarray(samples, dtype=np.float64)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return Interval(estimate, float("nan"), float("nan"))
    tail = (1 - confidence) / 2
    lo, hi = np.quantile(values, [tail, 1 - tail])
    return Interval(estimate, float(lo), float(hi))


def sign_p(samples: ArrayLike) -> Floats:
    """Two-sided bootstrap p that a difference is 0, along the last axis.

    Twice the smaller share of resamples on one side of 0 (ties on both), counted with one more
    resample so that it is never 0; nan where no resample has a value.
    """
    values = np.asarray(samples, dtype=np.float64)
    count = (~np.isnan(values)).sum(axis=-1)
    fewer = np.minimum((values <= 0).sum(axis=-1), (values >= 0).sum(axis=-1))
    p = np.minimum(1.0, 2 * (fewer + 1) / (count + 1))
    return np.asarray(np.where(count == 0, np.nan, p))


def holm(p: ArrayLike) -> Floats:
    """Holm's step-down adjusted p values (family-wise error), (n,); nan stays nan, uncounted."""
    return _adjust(p, lambda ordered, m: np.maximum.accumulate(ordered * (m - np.arange(m))))


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Benjamini-Hochberg adjusted p values (false discovery rate), (n,); nan stays nan."""

    def step_up(ordered: Floats, m: int) -> Floats:
        scaled = ordered * m / np.arange(1, m + 1)
        return np.asarray(np.minimum.accumulate(scaled[::-1])[::-1])

    return _adjust(p, step_up)


def _adjust(p: ArrayLike, rule: Callable[[Floats, int], Floats]) -> Floats:
    values = np.asarray(p, dtype=np.float64)
    kept = np.flatnonzero(~np.isnan(values))
    order = kept[np.argsort(values[kept], kind="stable")]
    adjusted = np.full(values.shape, np.nan)
    # no adjusted p lies below its own, whatever rounding says
    adjusted[order] = np.clip(rule(values[order], len(order)), values[order], 1.0)
    return adjusted


@dataclass(frozen=True)
class Correlation:
    """A correlation coefficient over `n` rows with its bootstrap interval and p value.

    `p` is the two-sided t test's for no correlation, with n - 2 - covariates degrees of freedom.
    Every figure is nan when fewer than 4 + covariates rows are whole or a variable is constant.
    """

    method: Method
    n: int
    r: float
    lo: float
    hi: float
    p: float


def correlate(
    x: ArrayLike,
    y: ArrayLike,
    *,
    given: ArrayLike | None = None,
    method: Method = "pearson",
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Correlation:
    """Correlate two columns over rows, `given` covariates held fixed if there are any.

    `x`, `y` (N,), `given` (N,) or (N, Q); rows with a nan or infinity anywhere are left out.
    Partial correlation is that of the residuals of least squares on the covariates; for
    "spearman" all columns are ranked first, anew in each resample. Rows are resampled.
    """
    columns = [np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)]
    if given is not None:
        columns.extend(np.atleast_2d(np.asarray(given, dtype=np.float64).T))
    table = np.column_stack(columns)
    table = table[np.isfinite(table).all(axis=1)]
    rows, width = table.shape
    freedom = rows - width
    if freedom < 2:
        return Correlation(method, rows, *[float("nan")] * 4)
    r = float(_coefficients(table[None], method)[0])
    picks = np.random.default_rng(seed).integers(0, rows, (resamples, rows))
    interval = percentile_interval(_coefficients(table[picks], method), r, confidence)
    with np.errstate(divide="ignore"):
        t = abs(r) * np.sqrt(np.divide(freedom, max(1 - r * r, 0.0)))
    p = float(2 * distributions.t.sf(t, freedom))
    return Correlation(method, rows, r, interval.lo, interval.hi, p)


def _coefficients(tables: Floats, method: Method) -> Floats:
    """Correlation of columns 0 and 1 given the others: tables (B, N, 2 + Q) -> (B,)."""
    if method == "spearman":
        tables = distributions.rankdata(tables, axis=1)
    centred = tables - tables.mean(axis=1, keepdims=True)
    pair, others = centred[:, :, :2], centred[:, :, 2:]
    before = (pair**2).sum(axis=1)
    if others.shape[2]:
        scale = np.sqrt((others**2).sum(axis=1, keepdims=True))
        others = others / np.where(scale == 0, 1.0, scale)
        pair = pair - others @ (np.linalg.pinv(others) @ pair)
    after = (pair**2).sum(axis=1)
    usable = ((before > 0) & (after > RESIDUAL_FLOOR * before)).all(axis=1)
    products = (pair[:, :, 0] * pair[:, :, 1]).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = products / np.sqrt(after[:, 0] * after[:, 1])
    return np.where(usable, np.clip(r, -1.0, 1.0), np.nan)
