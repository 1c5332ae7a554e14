"""Attacks on smoothed classifiers: upper bounds on the robustness that certificates bound below."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmlib.attacks.core.threat import Threat, rows, scaled
from mmlib.attacks.methods.decisions import ByThreshold, Crossing
from mmlib.attacks.methods.goals import Wish
from mmlib.attacks.methods.pgd import pgd
from mmlib.batch import Batch
from mmlib.evaluation.certify.smoothed import Expected
from mmlib.evaluation.certify.work import Job, Read, Task, read, shown
from mmlib.metrics.smoothing import Decisions
from mmlib.runtime.arrays import Bools, Ints
from mmlib.runtime.seeds import derive
from mmlib.threats import THREATS


class PairsTask(NamedTuple):
    """Decisions to attack, a clip each: its class, whether that is shown, its certified eps."""

    job: Job
    places: tuple[int, ...]
    tags: tuple[int, ...]
    shown: tuple[bool, ...]
    eps: tuple[float, ...]


def chosen(labels: Bools, decisions: Decisions, wanted: int, seed: int) -> tuple[Ints, Ints]:
    """Places of clips and classes: right, certified and not without end, drawn by the seed."""
    right = (decisions.shown == labels) & np.isfinite(decisions.reach)
    random = np.random.default_rng(derive(seed, "certify", "pairs"))
    clips = np.sort(random.permutation(np.flatnonzero(right.any(1)))[:wanted])
    found = [
        (clip, random.choice(open_to))
        for clip in clips
        for side in (labels[clip], ~labels[clip])
        if len(open_to := np.flatnonzero(right[clip] & side))
    ]
    places = np.array(found, np.int64).reshape(-1, 2)
    return places[:, 0], places[:, 1]


def attack_all(task: Task) -> list[Ints]:
    """Attack all tags of the clips at once, at each of the multiples; then count, (B, K) each."""
    job, clips = task.job, read(task.job, task.places)
    threats = [
        scaled(job.budgets(clips.batch), job.attack.eps * multiple)
        for multiple in sorted(job.search.multiples)
    ]
    return [
        shown(job, clips, batch, "scored", job.search.n)
        for batch in _climb(job, clips, threats, job.attack.loss)
    ]


def attack_pairs(task: PairsTask) -> Ints:
    """Attack one decision of each clip at each of the reaches; how many draws still keep it.

    (R, B), of `attack.n` draws; reaches ascend.
    """
    job, clips = task.job, read(task.job, task.places)
    device = clips.labels.device
    weight, target = torch.zeros_like(clips.labels), torch.zeros_like(clips.labels)
    everyone, tags = torch.arange(len(task.tags), device=device), torch.tensor(task.tags)
    weight[everyone, tags.to(device)] = 1
    target[everyone, tags.to(device)] = 1 - torch.tensor(task.shown).to(target)
    goal = Crossing(ByThreshold(torch.zeros(weight.shape[1])), Wish(target, weight))
    eps = torch.tensor(task.eps, dtype=torch.float32, device=device)
    threats = [
        scaled(job.budgets(clips.batch), eps * reach) for reach in sorted(job.search.reaches)
    ]
    kept = []
    for batch in _climb(job, clips, threats, goal):
        hits = shown(job, clips, batch, "scored", job.search.n)[np.arange(len(tags)), task.tags]
        kept.append(np.where(task.shown, hits, job.search.n - hits))
    return np.stack(kept)


def _climb(job: Job, clips: Read, threats: Sequence[Threat], loss: str | Crossing) -> list[Batch]:
    """The clips as attacked under each of rising budgets: PGD on the smoothed classifier.

    From the clean clips, and from what the budget before found, as it is and stretched. In parts of
    so few clips that their draws make a batch.
    """
    assert job.decider is not None
    expected = Expected(clips.forward, job.decider.margins, THREATS[job.threat], job.search.draws)
    size = max(1, job.attack.batch_size // job.search.draws)
    found: list[list[Batch]] = [[] for _ in threats]
    for first in range(0, len(clips.ids), size):
        places = torch.arange(first, min(first + size, len(clips.ids)))
        ids = clips.ids[first : first + size]
        part = {name: tensor[places.to(tensor.device)] for name, tensor in clips.batch.items()}
        batch = job.smoothing.carried(part, ids, job.search.draws)
        starts: list[Batch] = [{name: part[name] for name in THREATS[job.threat]}]
        seeds = [derive(job.seed, "certify", clip, job.threat, "attack") for clip in ids]
        aim = loss if isinstance(loss, str) else loss.rows(places.to(clips.labels.device))
        before: float | Tensor = 1.0
        for at, threat in enumerate(rows(each, places) for each in threats):
            eps = _radius(threat)
            starts += _stretched(part, starts[-1], eps / before) if at else []
            points = pgd(
                expected, batch, clips.labels[places], threat, steps=job.search.steps,
                momentum=job.attack.momentum, loss=aim, seeds=seeds, start=starts,
            )  # fmt: skip
            starts, before = [{name: points[name] for name in THREATS[job.threat]}], eps
            found[at].append({name: points[name] for name in part})
    return [_joined(parts) for parts in found]


def _radius(threat: Threat) -> float | Tensor:
    return next(iter(threat.values())).eps


def _stretched(clean: Batch, points: Batch, factor: float | Tensor) -> list[Batch]:
    """The points, moved away from the clean clips by a factor, a number or (B,)."""
    stretched = {}
    for name, point in points.items():
        by = factor
        if isinstance(by, Tensor):
            by = by.reshape(-1, *[1] * (point.ndim - 1)).to(point)
        stretched[name] = clean[name] + by * (point - clean[name])
    return [stretched]


def _joined(parts: Sequence[Batch]) -> Batch:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
