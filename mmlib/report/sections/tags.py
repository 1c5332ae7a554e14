"""Success of goals tag by tag, at the headline budget: a sentence and a table for each run."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmlib.report import threats, wording
from mmlib.report.inputs import Run
from mmlib.report.sections.blocks import Block
from mmlib.report.tables import Cell, Head, Row
from mmlib.report.tables import Table as Shown
from mmlib.runtime.storage import Table
from mmlib.threats import THREATS

MOST = 16
"""Goals that a table shows at once: of more, the easiest and the hardest half of so many."""
NAMED = 4
"""Tags that a sentence names."""
DONE = {"hide": "hidden", "inject": "injected", "swap": "swapped"}


class _Success(NamedTuple):
    """A rate with the ends of its interval, and the counts behind it."""

    rate: float
    lo: float
    hi: float
    succeeded: int
    clips: int


_NOT_MET = _Success(-1.0, -1.0, -1.0, 0, 0)


class _Goal(NamedTuple):
    """One goal at the headline budget, by threat."""

    name: str
    by_threat: dict[str, _Success]


def sentences(goal: str, tried: Sequence[tuple[Run, Table]]) -> list[str]:
    """For each run which tags give way most and least, all of its modalities attacked."""
    found = []
    for run, table in tried:
        every = _ranked(goal, table)
        widest = _widest(every)
        rates = [(each.name, each.by_threat[widest]) for each in every if widest in each.by_threat]
        most = [name for name, success in rates if success.rate >= 0.5]
        never = [name for name, success in rates if not success.succeeded]
        found.append(
            f"{run.name}, {threats.NAMES[widest]} at the headline budget: {len(most)} of"
            f" {len(rates)} {'pairs' if goal == 'swap' else 'tags'} can be {DONE[goal]} on at least"
            f" half of their clips{_such(most)}, {len(never)} on none{_such(never)}."
        )
    return found


def _such(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = len(names) - NAMED
    shown = [*names[:NAMED], *([f"{more} more"] if more > 0 else [])]
    return f" ({wording.listed(shown)})"


def by_tag(goal: str, run: Run, table: Table, confidence: float) -> list[Block]:
    """The run's table, the goals that succeed most first; where it is long, the rest folded."""
    every = _ranked(goal, table)
    if len(every) <= MOST:
        return [Block("table", _shown(goal, run, every, confidence, ""))]
    ends = [*every[: MOST // 2], *every[-MOST // 2 :]]
    what = f" The {MOST // 2} that succeed most and the {MOST // 2} that succeed least."
    whole = _shown(goal, run, every, confidence, "")
    return [
        Block("table", _shown(goal, run, ends, confidence, what)),
        Block("details", whole, f"{run.name}: all {len(every)}"),
    ]


def _ranked(goal: str, table: Table) -> list[_Goal]:
    """The goals with attacked clips, by success under the widest threat, then by name."""
    rows = np.flatnonzero((table["goal"] == goal) & (table["multiple"] == 1) & (table["clips"] > 0))
    found: dict[str, _Goal] = {}
    for row in rows.tolist():
        tags = [str(table[side][row]) for side in ("hidden", "injected")]
        name = " → ".join(tag for tag in tags if tag)
        rate, lo, hi = (float(table[key][row]) for key in ("success", "success_lo", "success_hi"))
        succeeded, clips = (int(table[key][row]) for key in ("succeeded", "clips"))
        each = found.setdefault(name, _Goal(name, {}))
        each.by_threat[str(table["threat"][row])] = _Success(rate, lo, hi, succeeded, clips)
    every = list(found.values())
    widest = _widest(every)
    return sorted(every, key=lambda each: (-each.by_threat.get(widest, _NOT_MET).rate, each.name))


def _widest(every: Sequence[_Goal]) -> str:
    return [threat for threat in THREATS if any(threat in each.by_threat for each in every)][-1]


def _shown(goal: str, run: Run, every: Sequence[_Goal], confidence: float, what: str) -> Shown:
    met = [threat for threat in THREATS if any(threat in each.by_threat for each in every)]
    rows = [
        Row(each.name, [_clips(each), *(_rate(each, threat) for threat in met)]) for each in every
    ]
    return Shown(
        title=f"{run.name}: success of {goal} by tag",
        head=(
            Head("pair" if goal == "swap" else "tag", "word"),
            Head("clips"),
            *(Head(threats.SHORT[threat]) for threat in met),
        ),
        rows=rows,
        caption=(
            f"{run.name}: share of attacked clips on which the tag was {DONE[goal]} at the headline"
            f" budget, with Wilson's {wording.percent(confidence)} interval.{what}"
        ),
    )


def _clips(each: _Goal) -> Cell:
    return Cell(wording.count(max(success.clips for success in each.by_threat.values())))


def _rate(each: _Goal, threat: str) -> Cell:
    if threat not in each.by_threat:
        return Cell(wording.MISSING)
    success = each.by_threat[threat]
    ends = f"{100 * success.lo:.0f} to {100 * success.hi:.0f} %"
    return Cell(wording.percent(success.rate), ends)
