"""Correlations over rows, plain and partial, with their intervals."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions

from mmlib.metrics.intervals import bootstrap_interval
from mmlib.runtime.arrays import Floats

Method = Literal["pearson", "spearman"]

# A variable whose variance falls to this share once the covariates are taken out has nothing left
# but rounding: its partial correlation is undefined.
RESIDUAL_FLOOR = 1e-12
# Resamples that are computed at once: memory, of many classes.
_AT_ONCE = 1000
# Fisher's z of a perfect correlation is infinite; so near to it, z is 7.
_NEAR_ONE = 1 - 1e-6


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
    # Fisher's scale, on which coefficients are about normal. [choice]
    parts = np.array_split(picks, -(-resamples // _AT_ONCE))
    samples = _fisher(np.concatenate([_coefficients(table[part], method) for part in parts]))
    _, lo, hi = bootstrap_interval(samples, float(_fisher(r)), confidence)
    with np.errstate(divide="ignore"):
        t = abs(r) * np.sqrt(np.divide(freedom, max(1 - r * r, 0.0)))
    p = float(2 * distributions.t.sf(t, freedom))
    return Correlation(method, rows, r, float(np.tanh(lo)), float(np.tanh(hi)), p)


def _fisher(r: ArrayLike) -> Floats:
    return np.asarray(np.arctanh(np.clip(r, -_NEAR_ONE, _NEAR_ONE)))


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
        turned = others.transpose(0, 2, 1)
        # By the normal equations: columns of one length, and few, whose inverse costs next to none.
        pair = pair - others @ (np.linalg.pinv(turned @ others, hermitian=True) @ (turned @ pair))
    after = (pair**2).sum(axis=1)
    usable = ((before > 0) & (after > RESIDUAL_FLOOR * before)).all(axis=1)
    products = (pair[:, :, 0] * pair[:, :, 1]).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = products / np.sqrt(after[:, 0] * after[:, 1])
    return np.where(usable, np.clip(r, -1.0, 1.0), np.nan)
