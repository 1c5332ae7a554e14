"""Spread the sweep over processes, keep finished chunks through a kill, join them at the end."""

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from mmlib.evaluation.attacked.run import SPLIT, AttackedRun
from mmlib.evaluation.sweep import (
    surface,
    table,
)
from mmlib.evaluation.sweep.chunk import ChunkSweep
from mmlib.models import (
    checkpoint,
    devices,
)
from mmlib.params.attacks import Attack
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import (
    Scratch,
    fingerprint,
    publish_file,
)
from mmlib.runtime.workers import (
    map_ordered,
    share,
)
from mmlib.shards.read.loader import ShardSet
from mmlib.threats import threat_names

_POLL_S = 0.2


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

    @property
    def name(self) -> str:
        """The name of its piece in scratch."""
        return f"{self.first:07d}.parquet"

    @property
    def examples_name(self) -> str:
        """The name of its examples in scratch."""
        return f"{self.first:07d}-examples.parquet"

    @property
    def surface_name(self) -> str:
        """The name of its points of the plane in scratch."""
        return f"{self.first:07d}-surface.parquet"


def attack_split(shards: Path, model: Path, out: Path, settings: Attack, seed: int) -> None:
    """Attack the run `model` (a checkpoint without suffix) on the eval split.

    Writes `<out>/<run>.parquet`, `-examples.parquet` and `-surface.parquet`. A stopped sweep goes
    on from its last finished chunk, and ends with the same bytes. Under torchrun every process
    takes its share of the chunks and the first one joins them: the same bytes again.
    """
    run, description = model.name, checkpoint.read_description(model)
    clips = ShardSet(shards, SPLIT)
    if not len(clips):
        raise UserError(f"{shards}: the split {SPLIT} has no clips to attack")
    if list(clips.classes) != list(description["classes"]):
        raise UserError(f"{model}: trained on other classes than {shards} has; run `dvc repro`")
    inputs = [shards / "manifest.json", *sorted(shards.glob(f"{SPLIT}-*.parquet"))]
    weights = [model.with_name(f"{run}{suffix}") for suffix in (".json", ".safetensors")]
    scratch = Scratch(f"attack-{run}", fingerprint(settings, seed, *inputs, *weights))
    planar = settings.surface.attacks(run) and len(description["inputs"]) > 1
    chunks = _chunks(len(clips), shards, model, settings, seed, scratch, planar)
    rank, processes = share()
    left = [chunk for chunk in chunks[rank::processes] if not scratch.has(chunk.name)]
    workers = devices.worker_processes()
    for _ in map_ordered(_attack, left, label=f"attack {run}", workers=workers):
        pass
    if rank:
        return
    _await(chunks)
    metadata = {
        "classes": list(clips.classes),
        "task": clips.task,
        "run": run,
        "eps": settings.eps,
        "threats": threat_names(tuple(description["inputs"])),
        "norm": settings.norm,
        "domain": settings.domain,
    }
    pieces = [scratch.path(chunk.name) for chunk in chunks]
    shown = [scratch.path(chunk.examples_name) for chunk in chunks if chunk.shown]
    publish_file(lambda p: table.join_pieces(pieces, p, metadata), out / f"{run}.parquet")
    planes = [scratch.path(chunk.surface_name) for chunk in chunks if chunk.surface]
    surface.publish(planes, out / f"{run}-surface.parquet", len(clips.classes), metadata)
    publish_file(lambda p: table.join_examples(shown, p, metadata), out / f"{run}-examples.parquet")
    scratch.finish()


def _chunks(
    count: int,
    shards: Path,
    model: Path,
    settings: Attack,
    seed: int,
    scratch: Scratch,
    planar: bool,
) -> list[Chunk]:
    kept = np.linspace(0, count - 1, min(settings.examples, count)).round().astype(int).tolist()
    size = settings.batch_size
    return [
        Chunk(
            first,
            min(first + size, count),
            tuple(row for row in kept if first <= row < first + size),
            shards,
            model,
            settings,
            seed,
            scratch,
            planar,
        )
        for first in range(0, count, size)
    ]


def _await(chunks: list[Chunk]) -> None:
    """Wait for the chunks of the other processes; torchrun ends all when one of them fails."""
    while any(not chunk.scratch.has(chunk.name) for chunk in chunks):
        time.sleep(_POLL_S)


def _attack(chunk: Chunk) -> None:
    """Attack one chunk in this process and write its pieces."""
    run = _run(chunk.model, chunk.shards, chunk.settings, devices.select_in_worker())
    batch = run.gather(np.arange(chunk.first, chunk.last))
    sweep = ChunkSweep(run.model, batch, chunk.settings, chunk.seed)
    records = sweep.run()
    if chunk.shown:
        found = list(sweep.examples([row - chunk.first for row in chunk.shown]))
        chunk.scratch.write(chunk.examples_name, lambda p: table.write_examples(p, found))
    if chunk.surface:
        points = list(surface.attack_surface(sweep))
        chunk.scratch.write(
            chunk.surface_name, lambda p: surface.write_piece(p, batch.clip_ids, points)
        )
    chunk.scratch.write(chunk.name, lambda p: table.write_piece(p, batch.clip_ids, records))


@lru_cache(maxsize=1)
def _run(model: Path, shards: Path, settings: Attack, device: torch.device) -> AttackedRun:
    """The run, loaded and frozen once a process."""
    return AttackedRun.load(model, shards, settings, device)
