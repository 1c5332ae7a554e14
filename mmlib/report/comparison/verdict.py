"""A claim as a row: what was claimed, what this data says, and a verdict in words.

Each claim is an effect, defined so that the claim says it is above 0. Its verdict is "supported"
when its interval lies above 0, "not supported" when it lies below, and "undecided" in
between: not this many clips can tell. Claims that two figures are about equal are supported when
the interval lies within `EQUAL` of 0 and not supported when it lies outside.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mmlib.metrics.intervals import (
    Interval,
    holm,
)
from mmlib.metrics.stored import (
    CLEAN,
    NOISE,
)
from mmlib.report import threats
from mmlib.report.comparison.paired import (
    Effect,
    PairedRuns,
    Where,
)

Verdict = Literal["supported", "not supported", "undecided"]

# "About as low as" within this much mAP. [choice]
EQUAL = 0.05


@dataclass(frozen=True)
class Claim:
    """One row of the claims page.

    `paper` holds the paper's figures in words ("" where it has none), `compared` what ours were
    read off, `effect` the difference in `unit` with its interval (bounds nan where the figure is a
    plain count), `n` the clips or classes it rests on, `p` two-sided and `p_adjusted` Holm's over
    all rows (nan where there is no test).
    """

    key: str
    statement: str
    paper: str
    compared: str
    unit: str
    effect: Interval
    n: int
    p: float
    p_adjusted: float
    verdict: Verdict


def adjusted(rows: list[Claim]) -> list[Claim]:
    """Fill in Holm's p over all rows that have one; again after joining rows of several sources."""
    values = holm([row.p for row in rows])
    return [replace(row, p_adjusted=float(p)) for row, p in zip(rows, values, strict=True)]


def above_zero(interval: Interval) -> Verdict:
    """The verdict on a claim that the effect is above 0."""
    if interval.lo > 0:
        return "supported"
    return "not supported" if interval.hi < 0 else "undecided"


def about_zero(interval: Interval) -> Verdict:
    """The verdict on a claim that the effect is within `EQUAL` of 0."""
    if interval.lo >= -EQUAL and interval.hi <= EQUAL:
        return "supported"
    return "not supported" if interval.lo > EQUAL or interval.hi < -EQUAL else "undecided"


def difference_row(
    runs: PairedRuns,
    key: str,
    statement: str,
    paper: str,
    first: Where,
    second: Where,
    *,
    judge: Callable[[Interval], Verdict] = above_zero,
) -> Iterator[Claim]:
    """The claim that mAP is higher at `first` than at `second`; nothing if either is not there."""
    if runs.has(first, second):
        one, two = runs.mean_ap(first), runs.mean_ap(second)
        compared = (
            f"{words(runs, first)} {one.estimate:.3f}, {words(runs, second)} {two.estimate:.3f}"
        )
        effect = runs.difference(one, two)
        yield claim(runs, key, statement, paper, compared, "mAP", effect, judge)


def claim(
    runs: PairedRuns,
    key: str,
    statement: str,
    paper: str,
    compared: str,
    unit: str,
    effect: Effect,
    judge: Callable[[Interval], Verdict] = above_zero,
) -> Claim:
    """A claim about an effect on the runs' clips, with its verdict."""
    # a test of "different from 0" says nothing about a claim of "about 0"
    p = effect.p if judge is above_zero else float("nan")
    verdict = judge(effect.interval)
    return Claim(
        key, statement, paper, compared, unit, effect.interval, runs.clips, p, np.nan, verdict
    )


def words(runs: PairedRuns, where: Where) -> str:
    """Name a run and its condition, as in `mid under A+V`."""
    name = runs.names[where.role]
    if where.threat == CLEAN:
        return f"{name} clean"
    budget = "" if where.multiple == 1 else f" at {where.multiple:g} eps"
    noise = "noise on " if where.attack == NOISE else ""
    return f"{name} under {noise}{threats.WORDS[where.threat]}{budget}"
