"""One chunk of the eval split, taken through one round of the sweep in one process."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from mmlib.batch import LabelledBatch
from mmlib.evaluation.attacked.run import AttackedRun, loaded
from mmlib.evaluation.sweep import (
    surface,
    table,
)
from mmlib.evaluation.sweep.chunk import ChunkSweep
from mmlib.evaluation.sweep.progress import (
    read_logits,
    read_points,
    write_logits,
    write_points,
)
from mmlib.evaluation.sweep.refine import Whole, refine, settle
from mmlib.models import devices
from mmlib.params.attacks import Attack
from mmlib.runtime.scratch import Scratch


@dataclass(frozen=True)
class Chunk:
    """Clips `first` to `last` (excluded) of the eval split, and what to do with them."""

    first: int
    last: int
    shown: tuple[int, ...]
    """Which of them, counted from the split's start, are kept whole for the report."""
    shards: Path
    model: Path
    settings: Attack
    seed: int
    scratch: Scratch
    surface: bool
    """Whether the plane of two budgets is attacked too."""
    begins: tuple[int, ...]
    """Where the chunks of the split begin."""

    @property
    def name(self) -> str:
        """The name of its piece in scratch."""
        return f"{self.first:07d}.parquet"

    @property
    def last_round(self) -> int:
        """The number of the last round; 0 is each clip for itself."""
        return self.settings.refine.rounds

    def points_name(self, number: int) -> str:
        """The name in scratch of what it has found by the end of a round."""
        return f"{self.first:07d}-{number}-points.safetensors"

    def logits_name(self, number: int) -> str:
        """The name in scratch of the logits that the other chunks need."""
        return f"{self.first:07d}-{number}-logits.safetensors"

    def finished(self, number: int) -> bool:
        """Tell whether a round is done, or the record, which follows the last one."""
        done = self.name if number > self.last_round else self.logits_name(number)
        return self.scratch.has(self.name) or self.scratch.has(done)

    @property
    def examples_name(self) -> str:
        """The name of its examples in scratch."""
        return f"{self.first:07d}-examples.parquet"

    @property
    def surface_name(self) -> str:
        """The name of its points of the plane in scratch."""
        return f"{self.first:07d}-surface.parquet"


def attack_chunk(task: tuple[Chunk, int]) -> None:
    """Take one chunk through one round in this process, or record it after the last."""
    chunk, number = task
    take(chunk, number, lambda _, sweep, batch: _record(chunk, sweep, batch))


End = Callable[[AttackedRun, ChunkSweep, LabelledBatch], None]
"""What makes a chunk's piece once its sweep has run."""


def take(chunk: Chunk, number: int, end: End) -> None:
    """Take one chunk through one round; after the last, `end` makes its piece of what was found."""
    run = loaded(chunk.model, chunk.shards, chunk.settings, devices.select_in_worker())
    batch = run.gather(np.arange(chunk.first, chunk.last))
    sweep = ChunkSweep(run.model, batch, chunk.settings, chunk.seed, run.uncompiled)
    if number == 0:
        sweep.search()
    else:
        read_points(chunk.scratch.path(chunk.points_name(number - 1)), sweep)
        whole = _whole(chunk, run, sweep, number - 1)
        if number <= chunk.last_round:
            refine(sweep, whole, number - 1)
        elif chunk.last_round:
            settle(sweep, whole)
    if number > chunk.last_round:
        end(run, sweep, batch)
    else:
        chunk.scratch.write(chunk.points_name(number), lambda p: write_points(p, sweep))
        chunk.scratch.write(chunk.logits_name(number), lambda p: write_logits(p, sweep))
    if number:
        chunk.scratch.path(chunk.points_name(number - 1)).unlink(missing_ok=True)


def _whole(chunk: Chunk, run: AttackedRun, sweep: ChunkSweep, number: int) -> Whole:
    """The split after a round: what is scored, and the logits of all its clips."""
    paths = [
        chunk.scratch.path(replace(chunk, first=first).logits_name(number))
        for first in chunk.begins
    ]
    return Whole(
        run.clips.task,
        torch.from_numpy(run.clips.labels).to(run.device),
        torch.arange(chunk.first, chunk.last, device=run.device),
        read_logits(paths, sweep.conditions, run.device),
    )


def _record(chunk: Chunk, sweep: ChunkSweep, batch: LabelledBatch) -> None:
    """Write the chunk's pieces of the outs."""
    records = sweep.records()
    if chunk.shown:
        found = list(sweep.examples([row - chunk.first for row in chunk.shown]))
        chunk.scratch.write(chunk.examples_name, lambda p: table.write_examples(p, found))
    if chunk.surface:
        points = list(surface.attack_surface(sweep))
        chunk.scratch.write(
            chunk.surface_name, lambda p: surface.write_piece(p, batch.clip_ids, points)
        )
    chunk.scratch.write(chunk.name, lambda p: table.write_piece(p, batch.clip_ids, records))
