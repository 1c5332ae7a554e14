"""What an attacker wants of clips, tag by tag, and on which clips there is something to win."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import permutations
from typing import NamedTuple

import numpy as np

from mmlib.params.goals import EACH, GoalsRun
from mmlib.runtime.arrays import Bools, Floats32, Indices
from mmlib.runtime.errors import UserError


class Aim(NamedTuple):
    """One goal: the place among the classes of the tag to hide and of that to inject, or None."""

    goal: str
    hidden: int | None
    injected: int | None


class Stake(NamedTuple):
    """The clips of a split under one aim.

    `labelled`: how many the labels allow (hide: with the tag; inject: without; swap: both).
    `rows`: those of them, ascending, whose clean decision the attacker has wholly to change: a tag
    to hide is shown, a tag to inject is not. Where the model is wrong already nothing is won.
    """

    labelled: int
    rows: Indices


def aims_of(run: GoalsRun, classes: Sequence[str], known: Bools, key: str) -> list[Aim]:
    """The aims that a row of goals.runs names, hide first; `known` (K,): tags with a decision.

    "each" leaves out tags without a decision. UserError for a named tag that is not there or has
    none; `key` is the row's place in params.yaml.
    """
    places = {name: place for place, name in enumerate(classes)}

    def place(tag: str, where: str) -> int:
        if tag not in places:
            raise UserError(f"{key}.{where} names {tag!r}, {_unknown(tag, classes)}")
        if not known[places[tag]]:
            raise UserError(
                f"{key}.{where} names {tag!r}, which no val clip has to choose its threshold on: "
                "leave it out, or set goals.decision.rule to probability or top"
            )
        return places[tag]

    every = np.flatnonzero(known).tolist()
    found = []
    hidden = every if run.hide == EACH else [place(tag, "hide") for tag in run.hide]
    shown = every if run.inject == EACH else [place(tag, "inject") for tag in run.inject]
    found += [Aim("hide", tag, None) for tag in hidden]
    found += [Aim("inject", None, tag) for tag in shown]
    if isinstance(run.swap, str):
        found += [Aim("swap", *pair) for pair in permutations(every, 2)]
    else:
        found += [
            Aim("swap", place(pair.hide, "swap"), place(pair.inject, "swap")) for pair in run.swap
        ]
    return found


def _unknown(tag: str, classes: Sequence[str]) -> str:
    near = get_close_matches(tag, classes, n=1, cutoff=0.6)
    if near:
        return f"which is no class of the data: did you mean {near[0]!r}?"
    shown = ", ".join(classes[:8]) + (", ..." if len(classes) > 8 else "")
    return f"which is no class of the data, only {shown}"


def stake(aim: Aim, labels: Bools, margins: Floats32) -> Stake:
    """The clips on which an aim has something to win, from labels and clean margins (N, K)."""
    allowed = np.ones(len(labels), np.bool_)
    open_to = np.ones(len(labels), np.bool_)
    for tag, present in _sides(aim):
        allowed &= labels[:, tag] == present
        open_to &= margins[:, tag] > 0 if present else margins[:, tag] < 0
    return Stake(int(allowed.sum()), np.flatnonzero(allowed & open_to))


def _sides(aim: Aim) -> Iterator[tuple[int, bool]]:
    """The tags that the aim is about, each with whether it is to be there before."""
    if aim.hidden is not None:
        yield aim.hidden, True
    if aim.injected is not None:
        yield aim.injected, False
