"""Spread the sweep over processes, round by round, and join its chunks at the end."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmlib.evaluation.attacked.run import SPLIT
from mmlib.evaluation.sweep import (
    surface,
    table,
)
from mmlib.evaluation.sweep.work import Chunk, attack_chunk
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
    map_phases,
    share,
    worker_count,
)
from mmlib.shards.read.loader import ShardSet
from mmlib.threats import threat_names

_POLL_S = 0.2


def attack_split(shards: Path, model: Path, out: Path, settings: Attack, seed: int) -> None:
    """Attack the run `model` (a checkpoint without suffix) on the eval split.

    Writes `<out>/<run>.parquet`, `-examples.parquet` and `-surface.parquet`. A stopped sweep
    resumes at the chunks and rounds that are not finished, and ends with the same bytes. Under
    torchrun every process takes its share of the chunks and the first one joins them: the same
    bytes again.
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
    chunks = chunks_of(len(clips), shards, model, settings, seed, scratch, planar)
    if not through_rounds(chunks, attack_chunk, f"attack {run}"):
        return
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
    chunks: Sequence[Chunk], function: Callable[[tuple[Chunk, int]], None], label: str
) -> bool:
    """Let `function` take every chunk through all rounds, and tell whether this process joins them.

    Finished work is passed over. Of the processes that torchrun started, each does its share, and
    the first one waits for the others.
    """
    rank, processes = share()
    own = chunks[rank::processes]
    rounds = range(chunks[0].last_round + 2)
    left = sum(not chunk.finished(number) for number in rounds for chunk in own)
    # No round keeps more processes busy than there are chunks.
    workers = min(devices.worker_processes() or worker_count(), len(own) or 1)
    phases = _phases(chunks, own, rounds)
    for _ in map_phases(function, phases, total=left, label=label, workers=workers):
        pass
    if not rank:
        _await(chunks, rounds[-1])
    return not rank


def _publish(
    chunks: Sequence[Chunk], scratch: Scratch, metadata: dict[str, Any], out: Path
) -> None:
    """Join the pieces of all chunks to the three outs, and end the scratch."""
    run = metadata["run"]
    pieces = [scratch.path(chunk.name) for chunk in chunks]
    shown = [scratch.path(chunk.examples_name) for chunk in chunks if chunk.shown]
    publish_file(lambda p: table.join_pieces(pieces, p, metadata), out / f"{run}.parquet")
    planes = [scratch.path(chunk.surface_name) for chunk in chunks if chunk.surface]
    surface.publish(planes, out / f"{run}-surface.parquet", len(metadata["classes"]), metadata)
    publish_file(lambda p: table.join_examples(shown, p, metadata), out / f"{run}-examples.parquet")
    scratch.finish()


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


def _phases(
    chunks: Sequence[Chunk], own: Sequence[Chunk], rounds: Iterable[int]
) -> Iterator[list[tuple[Chunk, int]]]:
    """The unfinished work of every round in turn, once all chunks have done the round before."""
    for number in rounds:
        if number:
            _await(chunks, number - 1)
        yield [(chunk, number) for chunk in own if not chunk.finished(number)]


def _await(chunks: Sequence[Chunk], number: int) -> None:
    """Wait for the chunks of the other processes; torchrun ends all when one of them fails."""
    while any(not chunk.finished(number) for chunk in chunks):
        time.sleep(_POLL_S)
