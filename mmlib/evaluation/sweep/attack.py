"""Spread the sweep over processes, round by round, and join its chunks at the end."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmlib.evaluation.attacked.run import SPLIT
from mmlib.evaluation.sweep import (
    surface,
    table,
)
from mmlib.evaluation.sweep.methods import ALONE
from mmlib.evaluation.sweep.work import Chunk, attack_chunk
from mmlib.models import (
    checkpoint,
    devices,
)
from mmlib.params.attacks import Attack
from mmlib.runtime.errors import UserError
from mmlib.runtime.paths import checkpoint_files
from mmlib.runtime.phases import Phase
from mmlib.runtime.pieces import finish
from mmlib.runtime.scratch import (
    Scratch,
    fingerprint,
    publish_file,
)
from mmlib.runtime.workers import worker_count
from mmlib.shards.read.loader import ShardSet
from mmlib.threats import threat_names


def attack_split(shards: Path, model: Path, out: Path, settings: Attack, seed: int) -> None:
    """Attack the run `model` (a checkpoint without suffix) on the eval split.

    Writes `<out>/<run>.parquet`, `-examples.parquet` and `-surface.parquet`. A stopped sweep
    resumes at the chunks and rounds that are not finished, and ends with the same bytes, as it does
    in any number of processes (see `pieces`).
    """
    run, description = model.name, checkpoint.read_description(model)
    clips = ShardSet(shards, SPLIT)
    if not len(clips):
        raise UserError(f"{shards}: the split {SPLIT} has no clips to attack")
    checkpoint.check_classes(model, description, clips.classes, shards)
    inputs = [shards / "manifest.json", *sorted(shards.glob(f"{SPLIT}-*.parquet"))]
    mark = fingerprint(settings, seed, *inputs, *checkpoint_files(model))
    scratch = Scratch(f"attack-{run}", mark)
    planar = settings.surface.attacks(run) and len(description["inputs"]) > 1
    chunks = chunks_of(len(clips), shards, model, settings, seed, scratch, planar)
    through_rounds(chunks, attack_chunk, scratch, f"attack {run}")
    metadata = {
        "classes": list(clips.classes),
        "task": clips.task,
        "run": run,
        "eps": settings.eps,
        "threats": threat_names(tuple(description["inputs"])),
        "norm": settings.norm,
        "domain": settings.domain,
    }
    _publish(chunks, scratch, metadata, out)


def through_rounds(
    chunks: Sequence[Chunk],
    function: Callable[[tuple[Chunk, int]], None],
    scratch: Scratch,
    label: str,
    *,
    last: bool = True,
) -> None:
    """Let `function` take every chunk through all rounds; finished work is passed by.

    The rest is as in `pieces.finish`.
    """
    phases = [_round(chunks, number) for number in range(chunks[0].last_round + 2)]
    # No round keeps more processes busy than there are chunks.
    workers = min(devices.worker_processes() or worker_count(), len(chunks))
    finish(function, phases, scratch, label=label, workers=workers, device=True, last=last)


def _publish(
    chunks: Sequence[Chunk], scratch: Scratch, metadata: dict[str, Any], out: Path
) -> None:
    """Join the pieces of all chunks to the three outs, and end the scratch."""
    run = metadata["run"]
    _tell_left_out(run, chunks[0].settings, scratch.path(chunks[0].name))
    pieces = [scratch.path(chunk.name) for chunk in chunks]
    shown = [scratch.path(chunk.examples_name) for chunk in chunks if chunk.shown]
    publish_file(lambda p: table.join_pieces(pieces, p, metadata), out / f"{run}.parquet")
    planes = [scratch.path(chunk.surface_name) for chunk in chunks if chunk.surface]
    surface.publish(planes, out / f"{run}-surface.parquet", len(metadata["classes"]), metadata)
    publish_file(lambda p: table.join_examples(shown, p, metadata), out / f"{run}-examples.parquet")
    scratch.finish()


def _tell_left_out(run: str, settings: Attack, piece: Path) -> None:
    """Say on stderr which methods of the settings worked under no threat, by what a piece holds."""
    if len(settings.methods) == 1:
        return
    stored = table.attacks_of(piece)
    absent = [name for name in settings.methods if f"{name}{ALONE}" not in stored]
    if absent:
        print(
            f"attack {run}: {', '.join(absent)} left out: the run has no features that they work"
            " on (docs/methods.md)",
            file=sys.stderr,
        )


def chunks_of(
    count: int,
    shards: Path,
    model: Path,
    settings: Attack,
    seed: int,
    scratch: Scratch,
    planar: bool,
) -> list[Chunk]:
    """The split of `count` clips in chunks of a batch; `planar`: the plane is attacked too."""
    kept = np.linspace(0, count - 1, min(settings.examples, count)).round().astype(int).tolist()
    size = settings.batch_size
    begins = tuple(range(0, count, size))
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
            begins,
        )
        for first in begins
    ]


def _round(chunks: Sequence[Chunk], number: int) -> Phase[tuple[Chunk, int]]:
    """One round of the sweep, which begins once all chunks have done the round before."""
    work = [(chunk, number) for chunk in chunks]
    return Phase(work, lambda place: chunks[place].finished(number))
