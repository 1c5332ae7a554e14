"""Success rates of goals as the files that people compare: a row per goal, threat and budget."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from mmlib.evaluation.goals.aims import Aim
from mmlib.evaluation.goals.attack import Turned
from mmlib.metrics.intervals import share_interval
from mmlib.runtime.storage import csv_text, decimals, records_csv, rounded, significant

GOALS = ("hide", "inject", "swap")


class Tried(NamedTuple):
    """One aim under one threat: how many clips its labels allow, are at stake, were attacked.

    `rows`: the attacked ones' places in the split, as `turned` has them.
    """

    aim: Aim
    threat: str
    labelled: int
    at_stake: int
    rows: tuple[int, ...]
    turned: Turned

    def succeeded(self, place: int) -> int:
        """How many clips the budgets up to the one at this place have turned."""
        return int((self.turned.first <= place).sum())


class Outcome(NamedTuple):
    """All of a run's goals; `multiples` ascend, and `eps` is the headline budget.

    `decisions`: how well each class is tagged on the clean clips, a row each.
    """

    classes: tuple[str, ...]
    clip_ids: tuple[str, ...]
    multiples: tuple[float, ...]
    eps: float
    tried: tuple[Tried, ...]
    decisions: tuple[dict[str, Any], ...]

    def tag(self, place: int | None) -> str:
        """A class by its place; empty for None."""
        return "" if place is None else self.classes[place]


def success_csv(outcome: Outcome, confidence: float) -> str:
    """metrics/goals/<run>.csv: one row per goal, threat and budget, with Wilson intervals.

    `noise` is the share of the same clips that equal-norm random noise turned. Shares are empty
    where no clip was attacked.
    """
    return records_csv(_rows(outcome, confidence))


def _rows(outcome: Outcome, confidence: float) -> Iterator[dict[str, object]]:
    for each in outcome.tried:
        clips = len(each.rows)
        for place, multiple in enumerate(outcome.multiples):
            share = share_interval(each.succeeded(place), clips, confidence, "wilson")
            noise = int(each.turned.noise[:, place].sum()) if clips else 0
            yield {
                "goal": each.aim.goal,
                "hidden": outcome.tag(each.aim.hidden),
                "injected": outcome.tag(each.aim.injected),
                "threat": each.threat,
                "multiple": significant(multiple),
                "eps": significant(outcome.eps * multiple, 8),
                "labelled": each.labelled,
                "at_stake": each.at_stake,
                "clips": clips,
                "succeeded": each.succeeded(place),
                "success": decimals(share.estimate),
                "success_lo": decimals(share.lo),
                "success_hi": decimals(share.hi),
                "noise": decimals(noise / clips) if clips else "",
            }


def clips_csv(outcome: Outcome) -> str:
    """data/goals/<run>.csv: one row per attacked clip, goal and threat.

    `multiple`: the smallest of the budgets that turned its decision, in multiples of attack.eps;
    `inf` where none did.
    """
    heads = ("clip_id", "goal", "hidden", "injected", "threat", "multiple")
    reached = [*map(significant, outcome.multiples), "inf"]
    return csv_text(
        heads,
        (
            (
                *(outcome.clip_ids[row], each.aim.goal),
                *(outcome.tag(each.aim.hidden), outcome.tag(each.aim.injected)),
                *(each.threat, reached[first]),
            )
            for each in outcome.tried
            for row, first in zip(each.rows, each.turned.first.tolist(), strict=True)
        ),
    )


def decisions_csv(outcome: Outcome) -> str:
    """metrics/decisions/<run>.csv: one row per class, how well it is tagged on clean eval clips."""
    return records_csv(
        {
            name: significant(value) if isinstance(value, float) else value
            for name, value in row.items()
        }
        for row in outcome.decisions
    )


def figures(outcome: Outcome) -> dict[str, Any]:
    """metrics/goals/<run>.json: goal -> threat -> mean success over tags at the headline budget.

    Only goals with attacked clips count; `goals` tells how many of each kind there were.
    """
    headline = outcome.multiples.index(1.0)
    found: dict[str, Any] = {}
    for goal in GOALS:
        of_goal = [each for each in outcome.tried if each.aim.goal == goal and each.rows]
        if not of_goal:
            continue
        found[goal] = {}
        for threat in dict.fromkeys(each.threat for each in of_goal):
            shares = [e.succeeded(headline) / len(e.rows) for e in of_goal if e.threat == threat]
            found[goal][threat] = rounded(sum(shares) / len(shares))
        found[goal]["goals"] = len({each.aim for each in of_goal})
    return found
