"""The pieces of a row's work: clips asked about under noise, clean and attacked, in one process."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmlib.attacks.core.threat import Threat, build_threat
from mmlib.batch import Batch, Forward, LabelledBatch
from mmlib.evaluation.attacked.budgets import shapes_of
from mmlib.evaluation.attacked.frozen import cached
from mmlib.evaluation.attacked.run import SPLIT, AttackedRun, loaded
from mmlib.evaluation.certify.smoothed import Smoothing
from mmlib.evaluation.certify.units import Unit
from mmlib.evaluation.goals.deciding import Decider
from mmlib.models import devices
from mmlib.params.attacks import Attack
from mmlib.params.certify import CertifyAttack, CertifyRow, Sampling
from mmlib.runtime.arrays import Bools, Floats32, Indices, Ints
from mmlib.threats import THREATS

CHOICE_SPLIT, CHOICE_DRAWS = "val", 8
"""Where thresholds are chosen, and under how many draws of each clip [choice]."""


@dataclass(frozen=True)
class Job:
    """One row under one threat; `decider` is known once its thresholds are chosen."""

    model: Path
    shards: Path
    attack: Attack
    row: CertifyRow
    sampling: Sampling
    search: CertifyAttack
    threat: str
    seed: int
    decider: Decider | None = None

    @cached_property
    def smoothing(self) -> Smoothing:
        """The noise on what the threat attacks."""
        sigma = {name: getattr(self.row.sigma, name) for name in THREATS[self.threat]}
        return Smoothing(sigma, self.seed)

    def run(self, split: str = SPLIT) -> AttackedRun:
        """The run on a split, loaded once a process."""
        return loaded(self.model, self.shards, self.attack, devices.select_in_worker(), split)

    def unit(self, shapes: dict[str, tuple[int, ...]]) -> Unit:
        """What a budget is worth; `shapes` of one clip."""
        return Unit.of(self.threat, self.row.sigma, self.attack, shapes)

    def budgets(self, inputs: Batch) -> Threat:
        """The l2 budgets of eps 1, for clips as the run reads them."""
        eps = {name: getattr(self.attack.scale, name) for name in THREATS[self.threat]}
        return build_threat(eps, "l2", shapes_of(inputs))


class Task(NamedTuple):
    """Clips of a split at some places, for one job."""

    job: Job
    places: tuple[int, ...]


class Counted(NamedTuple):
    """Draws in which each class of each clip was shown, (B, K): of `n0`, and of `n` others.

    `there` (B,): the clip has something that the threat can change.
    """

    first: Ints
    hits: Ints
    there: Bools


class Read(NamedTuple):
    """Clips with what a forward pass on the attacked modalities alone needs."""

    ids: tuple[str, ...]
    batch: Batch
    forward: Forward
    labels: Tensor

    def one(self, place: int) -> Batch:
        """The clip at a place, as a batch."""
        return {name: tensor[place : place + 1] for name, tensor in self.batch.items()}


def choice_logits(task: Task) -> Floats32:
    """Logits of val clips under noise, (B * CHOICE_DRAWS, K), a clip's draws in a row."""
    clips = read(task.job, task.places, CHOICE_SPLIT)
    found = [
        logits.cpu()
        for place, clip in enumerate(clips.ids)
        for logits in task.job.smoothing.logits(
            clips.forward, clips.one(place), clip, "choice", CHOICE_DRAWS
        )
    ]
    numbers: Floats32 = torch.cat(found).float().numpy()
    return numbers


def count(task: Task) -> Counted:
    """Ask about every clip under `n0` and `n` draws."""
    job, clips = task.job, read(task.job, task.places)
    present = job.run().clips.present
    there = np.any([present[name] for name in THREATS[job.threat]], axis=0)
    first, hits = (
        shown(job, clips, clips.batch, purpose, draws)
        for purpose, draws in (("choose", job.sampling.n0), ("bound", job.sampling.n))
    )
    return Counted(first, hits, there[list(task.places)])


def read(job: Job, places: Sequence[int], split: str = SPLIT) -> Read:
    """Read clips of a split, with what of the model need not be asked again."""
    run = job.run(split)
    gathered: LabelledBatch = run.gather(np.array(places))
    batch, forward = cached(run.model, gathered.inputs, None, THREATS[job.threat])
    return Read(gathered.clip_ids, batch, forward, gathered.labels)


def shown(job: Job, clips: Read, batch: Batch, purpose: str, draws: int) -> Ints:
    """In how many draws of each clip of a batch, which may be attacked, each class is shown."""
    assert job.decider is not None
    margins, altered = job.decider.margins, clips._replace(batch=batch)
    counts = [
        job.smoothing.shown(clips.forward, altered.one(place), clip, margins, purpose, draws)
        for place, clip in enumerate(clips.ids)
    ]
    return torch.stack(counts).numpy()


def pieces(places: Indices, size: int) -> list[tuple[int, ...]]:
    """The places in parts of at most `size`."""
    return [tuple(places[at : at + size].tolist()) for at in range(0, len(places), size)]
