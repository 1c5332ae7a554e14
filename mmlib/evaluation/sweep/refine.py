"""Rounds in which all clips of a split together lower what is scored.

An attack on the loss of each clip spends its budget on tags that no longer count: a positive below
every negative, say. Here each clip descends the score of the whole set against the other clips'
logits as the round before left them, so that only logits travel between chunks and processes.
Multi-label: the mean average precision, with ranks that grow sharper from round to round.
Single-label: cross entropy, margin and DLR in turn; each clip keeps what broke it most.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.attacks.core.average_precision import NARROW, SetPrecision, width_of_round
from mmlib.attacks.core.losses import Loss, resolve
from mmlib.attacks.core.search import Points, Search
from mmlib.attacks.methods.pgd import lengths_of_round
from mmlib.attacks.methods.rechecked import climb_rechecked
from mmlib.evaluation.attacked import frozen
from mmlib.evaluation.sweep.chunk import Budgeted, ChunkSweep, stretched
from mmlib.evaluation.sweep.methods import Solution
from mmlib.metrics.ranking import (
    average_precision,
    lowest_average_precision,
    present_mean,
)
from mmlib.threats import parts_of, threat_names

_NOTHING_LEFT = 0.002
"""A mean average precision this close above the lowest there can be is not attacked further."""
_TURNS = ("cross_entropy", "margin", "dlr")
_CLASSES_OF_DLR = 3


class Whole(NamedTuple):
    """The whole split: labels (N, K), the rows of it that a chunk holds (B,), and all logits.

    `logits`: threat and multiple -> (N, K), as the round before left them.
    """

    task: str
    labels: Tensor
    places: Tensor
    logits: Mapping[Budgeted, Tensor]


def refine(sweep: ChunkSweep, whole: Whole, number: int) -> None:
    """Take the sweep's solutions through round `number`, from 0.

    The headline budget goes first and through all rounds. The others join for the last ones, each
    with the points of its neighbour towards the headline, stretched to its own radius, as one of
    its starts; the threat on both modalities joins with those on one of them.
    """
    joined = [m for m in sweep.settings.sweep if sweep.settings.refine.joins(m) <= number]
    budgets = sorted(joined, key=lambda m: (m != 1, m > 1, abs(m - 1)))
    for name in threat_names(sweep.modalities):
        for multiple in budgets:
            sweep.solutions[name, multiple] = _advance(sweep, whole, number, name, multiple)


def _advance(sweep: ChunkSweep, whole: Whole, number: int, name: str, multiple: float) -> Solution:
    """One condition's solution after the round."""
    settings, before = sweep.settings.refine, sweep.solutions[name, multiple]
    if whole.task == "multi_label" and _exhausted(whole, whole.logits[name, multiple]):
        return before
    first = settings.joins(multiple)
    # A larger budget opens what its neighbour's points have not tried: its ranks begin wide again.
    skipped = first if multiple > 1 else 0
    loss = loss_of_round(whole, (name, multiple), number - skipped, settings.rounds - skipped)
    search, _ = sweep.begin(name, multiple, loss, "refine", number)
    search.offer(before.points, before.logits)
    # Later on, a condition's own points are ahead of its neighbours'.
    for points in _others(sweep, search, name, multiple) if number == first else ():
        search.losses(points)
    steps = settings.steps if multiple == 1 else settings.sweep_steps
    path = lengths_of_round(number - first, settings.rounds - first, steps, settings.step_size)
    rough = frozen.rough(search.model, sweep.labels.device)
    climb_rechecked(search, rough, search.best, path, settings.momentum)
    assert search.best_logits is not None
    found = Solution(search.best, search.best_logits)
    return found if whole.task == "multi_label" else stronger(search, sweep.labels, found, before)


def _others(sweep: ChunkSweep, search: Search, name: str, multiple: float) -> Iterator[Points]:
    """Points of other conditions that this one may start from."""
    between = [m for m in sweep.settings.sweep if min(1, multiple) <= m <= max(1, multiple)]
    nearer = sorted(set(between) - {multiple}, key=lambda m: abs(m - multiple))
    if nearer:
        neighbour = sweep.solutions[name, nearer[0]].points
        yield stretched(search, neighbour, multiple / nearer[0])
    parts = parts_of(name)
    if parts:
        joined: Points = {}
        for part in parts:
            joined |= sweep.solutions[part, multiple].points
        yield {**search.clean, **joined}


def loss_of_round(whole: Whole, condition: Budgeted, number: int, rounds: int) -> Loss:
    """What the chunk's clips raise under the condition in round `number` of `rounds`."""
    reference = whole.logits[condition]
    if whole.task == "multi_label":
        width = width_of_round(number, rounds)
        return SetPrecision(reference, whole.labels, whole.places, width)
    turns = [turn for turn in _TURNS if turn != "dlr" or reference.shape[1] >= _CLASSES_OF_DLR]
    return resolve(turns[number % len(turns)])


def stronger(search: Search, labels: Tensor, found: Solution, other: Solution) -> Solution:
    """Of two solutions, for each clip the one whose true class lies furthest below the top one."""
    top = resolve("top")
    better = top(found.logits, labels) >= top(other.logits, labels)
    return Solution(
        search.merge(better, found.points, {**search.clean, **other.points}),
        torch.where(better[:, None], found.logits, other.logits),
    )


def settle(sweep: ChunkSweep, whole: Whole) -> None:
    """End the rounds: put the conditions in order, and let what follows aim at the set too.

    No condition ends behind one that it includes: of less budget, or on fewer modalities.
    Multi-label: where such a condition leaves the set a lower mAP, all clips take its points.
    Single-label: each clip takes the points that broke it most. `whole` holds the last logits.
    """
    multi_label = whole.task == "multi_label"
    scores = {own: _mean_ap(whole, found) for own, found in whole.logits.items() if multi_label}
    settled: dict[Budgeted, Budgeted] = {}
    for name, multiple in sweep.conditions:
        less = [other for other in sweep.settings.sweep if other < multiple]
        smaller = [(name, max(less))] if less else []
        parts = [(part, multiple) for part in parts_of(name)]
        # What a smaller condition ends with may itself come from a smaller one.
        rivals = [settled[rival] for rival in (*smaller, *parts)]
        own = (name, multiple)
        if multi_label:
            settled[own] = min((own, *rivals), key=lambda rival: scores[rival])
            _take(sweep, own, settled[own])
        else:
            settled[own] = own
            for rival in rivals:
                _compete(sweep, own, rival)
    if multi_label:
        sweep.aim = partial(_from_lowest, whole, settled, scores)


def _from_lowest(
    whole: Whole,
    settled: Mapping[Budgeted, Budgeted],
    scores: Mapping[Budgeted, float],
    included: Sequence[Budgeted],
) -> Loss:
    """What goes on from the lowest of some conditions, as they were `settled`, climbs.

    Ranks are as sharp as in the last round: wider ones would lead away from where that ended.
    """
    lowest = min((settled[each] for each in included), key=lambda each: scores[each])
    return SetPrecision(whole.logits[lowest], whole.labels, whole.places, NARROW)


def _take(sweep: ChunkSweep, own: Budgeted, other: Budgeted) -> None:
    if other != own:
        search, _ = sweep.begin(*own, sweep.settings.loss)
        found = sweep.solutions[other]
        sweep.solutions[own] = Solution({**search.clean, **found.points}, found.logits)


def _compete(sweep: ChunkSweep, own: Budgeted, other: Budgeted) -> None:
    search, _ = sweep.begin(*own, sweep.settings.loss)
    found = stronger(search, sweep.labels, sweep.solutions[own], sweep.solutions[other])
    sweep.solutions[own] = found


def _exhausted(whole: Whole, logits: Tensor) -> bool:
    """Tell whether nearly every clip of a class stands below all that are not of it."""
    lowest = present_mean(lowest_average_precision(whole.labels.cpu().numpy() > 0.5))
    return _mean_ap(whole, logits) <= lowest + _NOTHING_LEFT


def _mean_ap(whole: Whole, logits: Tensor) -> float:
    labels = whole.labels.cpu().numpy() > 0.5
    return present_mean(average_precision(labels, logits.cpu().numpy()))
