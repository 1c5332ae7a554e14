"""How convex a class is to a classifier: the share of points between two members that it keeps.

A classifier's verdict on a point is its margin for the class: the point belongs where the margin
is at least 0. `Margins` gives it at points theta x[first] + (1 - theta) x[second].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mmlib.metrics.intervals import (
    Interval,
    share_interval,
)
from mmlib.runtime.arrays import Indices, Reals

# Confidence of every Wilson interval of a kappa.
CONFIDENCE = 0.95
# Points that a classifier sees at once: bounds memory at 1024 dimensions to tens of MB.

Rule = Callable[[Reals, int], Reals]
"""(logits (M, K), class) -> margins (M,): at least 0 where the point belongs to the class."""


class Pairs(NamedTuple):
    """Points to test, (M,) each: two distinct members and the share theta of the first."""

    first: Indices
    second: Indices
    theta: Reals


Margins = Callable[[Pairs, int], Reals]
"""(pairs, class) -> margins (M,) at theta x[first] + (1 - theta) x[second]."""


@dataclass(frozen=True)
class Convexity:
    """kappa of one class with Wilson intervals.

    `kappa` is the paper's: the share of `points` that the classifier assigns to the class;
    `conditioned` (kappa tilde) draws both end points from the `correct` members that are
    themselves assigned to it, so that it is not accuracy in disguise. The intervals cover the
    drawing of points from these members, not of members. nan with fewer than 2 (correct) members.
    """

    members: int
    correct: int
    points: int
    kappa: Interval
    conditioned: Interval


def threshold_rule(bars: Reals) -> Rule:
    """Multi-label: a point belongs where its class's logit is at least the class's bar, (K,)."""
    return lambda logits, column: logits[:, column] - float(bars[column])


def argmax_rule(logits: Reals, column: int) -> Reals:
    """Single-label: a point belongs where no other class's logit is higher."""
    return np.asarray(logits[:, column] - logits.max(axis=1))


def draw_pairs(members: Indices, points: int, generator: np.random.Generator) -> Pairs:
    """Independent uniform pairs of two distinct members, with theta uniform in [0, 1]."""
    count = len(members)
    if count < 2:
        raise ValueError(f"a pair needs 2 members, not {count}")
    first = generator.integers(0, count, points)
    second = generator.integers(0, count - 1, points)
    second += second >= first
    return Pairs(members[first], members[second], generator.random(points))


def margins_of_affine(logits: Reals, rule: Rule) -> Margins:
    """Margins of an affine head from its logits at the members, (N, K).

    Exact and nearly free: an affine map of an interpolation is the interpolation of its values.
    """

    def margins(pairs: Pairs, column: int) -> Reals:
        return rule(interpolate(logits[pairs.first], logits[pairs.second], pairs.theta), column)

    return margins


def margins_of_affine_threshold(logits: Reals, bars: Reals) -> Margins:
    """As `margins_of_affine` with `threshold_rule`, touching one column instead of all K."""
    least = bars.astype(logits.dtype)

    def margins(pairs: Pairs, column: int) -> Reals:
        first, second = (logits[rows, column] - least[column] for rows in pairs[:2])
        return interpolate(first, second, pairs.theta)

    return margins


def interpolate(first: Reals, second: Reals, theta: Reals) -> Reals:
    """theta first + (1 - theta) second, row by row: (M, ...) each, theta (M,)."""
    share = theta.reshape((-1,) + (1,) * (first.ndim - 1)).astype(first.dtype, copy=False)
    return np.asarray(share * first + (1 - share) * second)


def convexity(
    members: Indices,
    correct: Indices,
    column: int,
    margins: Margins,
    *,
    points: int,
    generator: np.random.Generator,
) -> Convexity:
    """kappa and kappa tilde of class `column`.

    `members` are the rows that carry the class, `correct` those of them that the classifier
    assigns to it. Source: paper, slides (kappa); docs/metrics.md (kappa tilde).
    """

    def share(rows: Indices) -> Interval:
        if len(rows) < 2:
            return Interval(*[float("nan")] * 3)
        kept = int((margins(draw_pairs(rows, points, generator), column) >= 0).sum())
        return share_interval(kept, points, CONFIDENCE, "wilson")

    return Convexity(len(members), len(correct), points, share(members), share(correct))


def kept_share(first: Reals, second: Reals) -> Reals:
    """The share of theta in [0, 1] that an affine head keeps: (M,), in closed form.

    `first` and `second` (M, J) are margins at the end points against each of J bounds (the one
    threshold, or each rival class); a point is kept where all of them are at least 0. Along the
    segment each margin is a straight line, so each bound keeps an interval of theta.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = second / (second - first)  # theta at which the margin is 0
    lowest = np.where((first >= 0) & (second < 0), crossing, 0.0).max(axis=1, initial=0.0)
    highest = np.where((first < 0) & (second >= 0), crossing, 1.0).min(axis=1, initial=1.0)
    lost = ((first < 0) & (second < 0)).any(axis=1)
    return np.where(lost, 0.0, np.maximum(highest - lowest, 0.0))


def affine_kappa(logits: Reals, pairs: Pairs, column: int, bars: Reals | None = None) -> float:
    """Mean over pairs of the share of theta that an affine head keeps, theta integrated out.

    `logits` (N, K) at the members; `bars` (K,) as in `threshold_rule`, None for argmax.
    What `kappa` estimates, without the noise of drawing theta.
    """
    ends: list[Reals]
    if bars is None:
        # the class against itself is 0 at both ends, and so binds nowhere
        ends = [logits[rows][:, [column]] - logits[rows] for rows in (pairs.first, pairs.second)]
    else:
        margins = logits[:, [column]] - float(bars[column])
        ends = [margins[rows] for rows in (pairs.first, pairs.second)]
    return float(kept_share(*ends).mean())
