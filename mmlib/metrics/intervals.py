"""Intervals for shares, means, jackknives and bootstraps; the correction for many comparisons."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions

from mmlib.runtime.arrays import Floats

BIAS_ERROR = 0.2
"""The share of a jackknife's bias that counts as error of the estimate. [choice]"""
# Differences between figures in [0, 1] that are no more than this are rounding.
ROUNDING = 1e-12


class Interval(NamedTuple):
    """An estimate with the ends of its confidence interval, in the estimate's unit."""

    estimate: float
    lo: float
    hi: float


def share_interval(
    successes: int, trials: int, confidence: float, method: Literal["wilson", "exact"]
) -> Interval:
    """A share with its binomial interval: Wilson's score, or Clopper and Pearson's exact one.

    The exact one never covers less than `confidence`. nan without trials.
    """
    if trials == 0:
        return Interval(*[float("nan")] * 3)
    share = successes / trials
    ends = distributions.binomtest(successes, trials).proportion_ci(confidence, method)
    # Rounding must not move the ends past the share.
    return Interval(share, min(float(ends.low), share), max(float(ends.high), share))


def bootstrap_interval(samples: ArrayLike, estimate: float, confidence: float) -> Interval:
    """Bias-corrected normal interval of a bootstrap; resamples without a value are left out.

    estimate - bias -+ z sd, with the bias (mean - estimate) and sd of `samples` (R,). Not for a
    mAP: see `jackknife_interval`.
    """
    values = _defined(samples)
    if len(values) == 0:
        return Interval(estimate, float("nan"), float("nan"))
    centre = 2 * estimate - float(values.mean())
    reach = float(distributions.norm.ppf(0.5 + confidence / 2)) * _spread(values)
    return Interval(estimate, centre - reach, centre + reach)


def jackknife_interval(pseudo_values: ArrayLike, estimate: float, confidence: float) -> Interval:
    """Normal interval of a figure from its pseudo-values, one a clip, (N,), about their mean.

    Their mean is the estimate less the jackknife's bias. That bias is itself an estimate: where
    classes have two or three positives up to a quarter of it was left in simulations, so a share
    `BIAS_ERROR` of it joins the standard error [choice]. Ends nan below 2 values.
    """
    centre, error = _jackknifed(pseudo_values, estimate)
    reach = float(distributions.norm.ppf(0.5 + confidence / 2)) * error
    return Interval(estimate, centre - reach, centre + reach)


def jackknife_p(pseudo_values: ArrayLike, estimate: float) -> float:
    """Two-sided p that the figure is 0, of the same normal as `jackknife_interval`.

    Where all values are equal and there is no bias: 1 for a figure of 0, else 0.
    """
    centre, error = _jackknifed(pseudo_values, estimate)
    if error == 0:
        return 0.0 if centre else 1.0
    return float(2 * distributions.norm.sf(abs(centre) / error))


def _jackknifed(pseudo_values: ArrayLike, estimate: float) -> tuple[float, float]:
    """The figure less its bias, and its standard error."""
    values = np.asarray(pseudo_values, dtype=np.float64)
    if len(values) < 2 or np.isnan(values).any():
        return float("nan"), float("nan")
    # The mean of equal numbers can differ from them by rounding, as can an estimate made elsewhere.
    centre = float(values.mean()) if np.ptp(values) > ROUNDING else float(values[0])
    bias = estimate - centre if abs(estimate - centre) > ROUNDING else 0.0
    return centre, float(np.hypot(_spread(values) / np.sqrt(len(values)), BIAS_ERROR * bias))


def _defined(samples: ArrayLike) -> Floats:
    values = np.asarray(samples, dtype=np.float64)
    return np.asarray(values[~np.isnan(values)])


def _spread(values: Floats) -> float:
    # Equal numbers can differ from their own mean by rounding.
    return float(values.std(ddof=1)) if np.ptp(values) > ROUNDING else 0.0


def t_interval(values: ArrayLike, confidence: float) -> Interval:
    """Student's t interval of the mean of independent values, (n,); ends nan below 2 values."""
    numbers = np.asarray(values, dtype=np.float64)
    mean, count = float(numbers.mean()), len(numbers)
    if count < 2:
        return Interval(mean, float("nan"), float("nan"))
    error = float(numbers.std(ddof=1)) / np.sqrt(count)
    half = float(distributions.t.ppf(0.5 + confidence / 2, count - 1)) * error
    return Interval(mean, mean - half, mean + half)


def t_p(values: ArrayLike) -> float:
    """Two-sided p of Student's t test that the mean of independent values, (n,), is 0.

    1 where all are 0; nan below 2 values.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) < 2:
        return float("nan")
    mean, spread = abs(float(numbers.mean())), float(numbers.std(ddof=1))
    if spread == 0:
        return 0.0 if mean else 1.0
    return float(2 * distributions.t.sf(mean / spread * np.sqrt(len(numbers)), len(numbers) - 1))


def both_interval(
    values: ArrayLike, pseudo_values: ArrayLike, estimate: float, confidence: float
) -> Interval:
    """Interval of a mean over seeds, `values` (n,), and over clips, `pseudo_values` (N,), at once.

    The variance of the mean over seeds and the jackknife's over clips are added, and Student's t
    has Welch and Satterthwaite's degrees of freedom. What seeds and clips share counts in both, so
    the sum is no less than the variance. Ends nan below 2 of either.
    """
    centre, error, freedom = _both(values, pseudo_values, estimate)
    reach = float(distributions.t.ppf(0.5 + confidence / 2, freedom)) * error
    return Interval(estimate, centre - reach, centre + reach)


def both_p(values: ArrayLike, pseudo_values: ArrayLike, estimate: float) -> float:
    """Two-sided p that the figure is 0, of the same t as `both_interval`; 1 where all is 0."""
    centre, error, freedom = _both(values, pseudo_values, estimate)
    if error == 0:
        return 0.0 if centre else 1.0
    return float(2 * distributions.t.sf(abs(centre) / error, freedom))


def _both(
    values: ArrayLike, pseudo_values: ArrayLike, estimate: float
) -> tuple[float, float, float]:
    """The figure less its bias, its standard error and degrees of freedom."""
    numbers = np.asarray(values, dtype=np.float64)
    centre, over_clips = _jackknifed(pseudo_values, estimate)
    if len(numbers) < 2:
        return centre, float("nan"), float("nan")
    over_seeds = _spread(numbers) / np.sqrt(len(numbers))
    error = float(np.hypot(over_seeds, over_clips))
    share = over_seeds / error if error else 0.0
    freedom = float((len(numbers) - 1) / share**4) if share else float("inf")
    return centre, error, freedom


def holm(p: ArrayLike) -> Floats:
    """Holm's step-down adjusted p values (family-wise error), (n,); nan stays nan, uncounted."""
    values = np.asarray(p, dtype=np.float64)
    kept = np.flatnonzero(~np.isnan(values))
    order = kept[np.argsort(values[kept], kind="stable")]
    scaled = values[order] * np.arange(len(order), 0, -1)
    adjusted = np.full(values.shape, np.nan)
    # No adjusted p lies below its own, whatever rounding says.
    adjusted[order] = np.clip(np.maximum.accumulate(scaled), values[order], 1.0)
    return adjusted
