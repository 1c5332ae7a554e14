"""A claim as a row: what was claimed, what this data says, and a verdict in words.

Each claim is an effect, defined so that the claim says it is above 0. Its verdict follows from
Holm's p over all rows of the page: below 1 - confidence it is "supported" or "not supported", as
the effect points, else "undecided": not this many clips can tell. The interval beside it is that
of the one row, so a row may be undecided although its interval excludes 0. Claims that two figures
are about equal are tested against a difference of `EQUAL`, correlations against a weak one too.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import copysign, nan
from typing import Literal

from scipy import stats as distributions

from mmlib.metrics.intervals import (
    Interval,
    holm,
)
from mmlib.metrics.scores.surface import SHARED
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
Lean = Literal["supported", "not supported"]
Unjudged = Literal["no verdict", "not tested"]
NO_VERDICT: Unjudged = "no verdict"
NOT_TESTED: Unjudged = "not tested"

# "About as low as" within this much mAP. [choice]
EQUAL = 0.05


@dataclass(frozen=True)
class Claim:
    """One row of the claims page.

    `paper` holds the paper's figures in words ("" where it has none), `compared` what ours were
    read off, `effect` the difference in `unit` with its own interval (bounds nan where the figure
    is a plain count), `n` the clips, classes or seeds it rests on. `lean` is the verdict if the
    row's two-sided `p` is small enough among all rows of the page: `p_adjusted` is Holm's. Without
    a lean nothing is tested and the verdict stands: a count, `NO_VERDICT` on a training method of
    which there is one model, or `NOT_TESTED` where what the claim is about was all but absent
    (`comparison/dose.py`).
    """

    key: str
    statement: str
    paper: str
    compared: str
    unit: str
    effect: Interval
    n: int
    p: float = nan
    p_adjusted: float = nan
    verdict: Verdict | Unjudged = "undecided"
    lean: Lean | None = None


Judge = Callable[[Effect, float], tuple[Lean, float]]
"""What an effect, at a confidence, says of a claim, and the two-sided p of that."""


def adjusted(rows: Sequence[Claim], confidence: float) -> list[Claim]:
    """Judge every row that is tested by Holm's p over all of them."""
    values = holm([nan if row.lean is None else row.p for row in rows])
    return [_judged(row, float(p), 1 - confidence) for row, p in zip(rows, values, strict=True)]


def _judged(row: Claim, p: float, level: float) -> Claim:
    if row.lean is None:
        return row
    return replace(row, p_adjusted=p, verdict=row.lean if p < level else "undecided")


def above_zero(effect: Effect, confidence: float) -> tuple[Lean, float]:
    """Test the claim that the effect is above 0.

    An effect whose bias takes it over 0 points neither way: its p is 1.
    """
    middle = _middle(effect.interval)
    p = 1.0 if effect.interval.estimate * middle < 0 else effect.p
    return ("supported" if middle > 0 else "not supported"), p


def about_zero(effect: Effect, confidence: float) -> tuple[Lean, float]:
    """Test the claim that the effect is within `EQUAL` of 0: two one-sided tests [Schuirmann 1987].

    Twice the larger p, as the interval that is shown asks for; the reverse, that it lies outside,
    is tested in the same way.
    """
    middle = _middle(effect.interval)
    p = p_of(effect.interval, confidence, copysign(EQUAL, middle))
    return ("supported" if abs(middle) < EQUAL else "not supported"), p


def p_of(interval: Interval, confidence: float, value: float) -> float:
    """Two-sided p that the true effect is `value`, of the normal that the interval is made of.

    Below 1 - confidence just where the interval excludes the value; nan where it has no ends.
    """
    reach, distance = (interval.hi - interval.lo) / 2, abs(_middle(interval) - value)
    if reach == 0 or distance == 0:
        return float(distance == 0)
    z = distributions.norm.ppf(0.5 + confidence / 2)
    return float(2 * distributions.norm.sf(distance / reach * z))


def _middle(interval: Interval) -> float:
    return (interval.lo + interval.hi) / 2


def difference_row(
    runs: PairedRuns,
    key: str,
    statement: str,
    paper: str,
    first: Where,
    second: Where,
    *,
    judge: Judge | None = above_zero,
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
    judge: Judge | None = above_zero,
) -> Claim:
    """A claim about an effect on the runs' clips, to be judged; without a judge it never is."""
    row = Claim(key, statement, paper, compared, unit, effect.interval, runs.clips)
    if judge is None:
        return replace(row, p=effect.p, verdict=NO_VERDICT)
    lean, p = judge(effect, runs.confidence)
    return replace(row, p=p, lean=lean)


def words(runs: PairedRuns, where: Where) -> str:
    """Name a run and its condition, as in `mid under A+V`."""
    name = runs.names[where.role]
    if where.threat == CLEAN:
        return f"{name} clean"
    if where.attack == SHARED:
        return f"{name} under {threats.WORDS[where.threat]} with one shared budget"
    budget = "" if where.multiple == 1 else f" at {where.multiple:g} eps"
    noise = "noise on " if where.attack == NOISE else ""
    return f"{name} under {noise}{threats.WORDS[where.threat]}{budget}"
