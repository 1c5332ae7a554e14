"""Clips attacked with goals: at which of several budgets each decision is first turned."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmlib.attacks.core.search import Search
from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.decisions import Crossing, Margins
from mmlib.attacks.methods.goals import Wish
from mmlib.attacks.methods.noise import on_sphere
from mmlib.attacks.methods.pgd import pgd
from mmlib.attacks.methods.silence import pgd_raised
from mmlib.batch import Batch, Forward
from mmlib.evaluation.attacked.frozen import cached
from mmlib.evaluation.attacked.run import loaded
from mmlib.evaluation.goals.aims import Aim
from mmlib.evaluation.goals.deciding import Decider
from mmlib.models import devices
from mmlib.params.attacks import Attack
from mmlib.params.goals import GoalsSearch
from mmlib.runtime.arrays import Bools, Floats32, Ints
from mmlib.runtime.seeds import derive


class Turned(NamedTuple):
    """What became of clips under rising budgets, as many rows as clips.

    `first` (B,): the place among the budgets, ascending, of the smallest that turned the decision,
    or as many as there are budgets where none did. `noise` (B, M) bool: whether random noise of
    equal norm turned it.
    """

    first: Ints
    noise: Bools


@dataclass(frozen=True)
class Plan:
    """What all parts of one run's goals share."""

    model: Path
    shards: Path
    attack: Attack
    search: GoalsSearch
    decider: Decider
    seed: int

    @property
    def multiples(self) -> tuple[float, ...]:
        """The budgets, ascending, as multiples of attack.eps."""
        return tuple(sorted(self.search.multiples))


@dataclass(frozen=True)
class Part:
    """Some clips of the split, each with its own aim, under one threat."""

    plan: Plan
    threat: str
    rows: tuple[int, ...]
    aims: tuple[Aim, ...]
    number: int

    @property
    def name(self) -> str:
        """The name of its piece in scratch."""
        return f"{self.threat}-{self.number:06d}"


def turn_part(part: Part) -> Turned:
    """Attack a part in this process."""
    plan = part.plan
    run = loaded(plan.model, plan.shards, plan.attack, devices.select_in_worker())
    clips = run.gather(np.array(part.rows))
    batch, forward = cached(run.model, clips.inputs, None, run.threat(part.threat, 1, clips.inputs))
    aims = [(aim.goal, str(aim.hidden), str(aim.injected)) for aim in part.aims]
    seeds = [
        derive(plan.seed, "goals", clip, part.threat, *aim)
        for clip, aim in zip(clips.clip_ids, aims, strict=True)
    ]
    return turn(
        forward,
        batch,
        crossing(plan.decider.margins, part.aims, clips.labels),
        [run.threat(part.threat, multiple, clips.inputs) for multiple in plan.multiples],
        seeds,
        steps=plan.search.steps,
        restarts=plan.search.restarts,
        momentum=plan.attack.momentum,
        silent=plan.attack.domain == "waveform",
    )


def clean_margins(task: tuple[Plan, tuple[int, ...]]) -> Floats32:
    """How far above the decision each tag of some clean clips is, (B, K)."""
    plan, rows = task
    run = loaded(plan.model, plan.shards, plan.attack, devices.select_in_worker())
    with torch.no_grad():
        logits = run.model(run.gather(np.array(rows)).inputs)
    margins: Floats32 = plan.decider.margins(logits).cpu().numpy()
    return margins


def crossing(margins: Margins, aims: Sequence[Aim], labels: Tensor) -> Crossing:
    """The loss of clips that have an aim each; `labels` (B, K) give the shape."""
    target, weight = torch.zeros_like(labels), torch.zeros_like(labels)
    for row, aim in enumerate(aims):
        if aim.hidden is not None:
            weight[row, aim.hidden] = 1
        if aim.injected is not None:
            weight[row, aim.injected] = target[row, aim.injected] = 1
    return Crossing(margins, Wish(target, weight))


def turn(
    model: Forward,
    batch: Batch,
    goal: Crossing,
    threats: Sequence[Threat],
    seeds: Sequence[int],
    *,
    steps: int,
    restarts: int = 1,
    momentum: float = 0.0,
    silent: bool = False,
) -> Turned:
    """Attack each clip under one threat after another, until its decision is turned.

    `threats` hold the same modalities under rising budgets. The attack is PGD on the margin to the
    decision: from the clean clip, then from what the budget before found, as it is and stretched.
    With `silent`, sound without a gradient is raised first, at the smallest budget.
    """
    count = len(goal.wished.weight)
    labels = goal.wished.target
    first = torch.full((count,), len(threats), device=labels.device)
    noise = torch.zeros(count, len(threats), dtype=torch.bool)
    left = torch.arange(count, device=labels.device)
    points: Batch = {name: batch[name] for name in threats[0]}
    for place, threat in enumerate(threats):
        noise[:, place] = _by_noise(model, batch, goal, threat, seeds).cpu()
        if not len(left):
            continue
        part = {name: tensor[left] for name, tensor in batch.items()}
        loss, raising = goal.rows(left), silent and not place
        attack: Callable[..., Batch] = pgd_raised if raising else pgd
        found = attack(
            model,
            part,
            labels[left],
            threat,
            steps=steps,
            restarts=restarts,
            momentum=momentum,
            loss=loss,
            broken=loss,
            seeds=[seeds[row] for row in left.tolist()],
            start=_starts(part, points, threats[place - 1], threat) if place else points,
        )
        with torch.no_grad():
            turned = loss(model(found), labels[left]) > 0
        first[left[turned]] = place
        left = left[~turned]
        points = {name: found[name][~turned] for name in threat}
    return Turned(first.cpu().numpy(), noise.numpy())


def _starts(
    batch: Batch, points: Mapping[str, Tensor], before: Threat, threat: Threat
) -> list[dict[str, Tensor]]:
    """The points of a smaller budget, as they are and stretched to this one."""
    stretched = {}
    for name, budget in threat.items():
        smaller = float(before[name].eps)
        factor = float(budget.eps) / smaller if smaller else 1.0
        stretched[name] = batch[name] + factor * (points[name] - batch[name])
    return [dict(points), stretched]


def _by_noise(
    model: Forward, batch: Batch, goal: Crossing, threat: Threat, seeds: Sequence[int]
) -> Tensor:
    """Whether one draw of noise of equal norm turns each clip's decision, (B,)."""
    search = Search(model, batch, goal.wished.target, threat, goal, seeds)
    return search.losses(on_sphere(search)) > 0
