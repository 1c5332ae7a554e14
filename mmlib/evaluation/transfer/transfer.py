"""A matrix of runs against runs: every run's perturbations, played to every run."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmlib.evaluation.attacked.run import SPLIT
from mmlib.evaluation.sweep.attack import chunks_of, through_rounds
from mmlib.evaluation.transfer.play import (
    Played,
    Targets,
    UniversalTask,
    play_chunk,
    play_universal,
    read_played,
)
from mmlib.evaluation.transfer.table import Cell, Cells, score_cells
from mmlib.metrics.scores.common import shared
from mmlib.metrics.scores.conditions import Score as Scored
from mmlib.models import checkpoint, devices
from mmlib.params.attacks import Attack, Surface
from mmlib.params.score import Score
from mmlib.params.transfer import TransferRow, UniversalFit
from mmlib.runtime.arrays import Floats32
from mmlib.runtime.errors import UserError
from mmlib.runtime.paths import checkpoint_files
from mmlib.runtime.phases import Phase
from mmlib.runtime.pieces import finish
from mmlib.runtime.scratch import Scratch, fingerprint
from mmlib.shards.read.loader import ShardSet
from mmlib.threats import THREATS, threat_names


def measure(
    row: str,
    wanted: TransferRow,
    how: UniversalFit,
    runs: Sequence[str],
    models: Path,
    shards: Path,
    attack: Attack,
    score: Score,
    seed: int,
) -> Cells:
    """Score every run under every run's perturbations, on the eval clips that stage score takes.

    `runs` are all runs, of which the row may name some; `models` is the folder of their
    checkpoints. A stopped stage resumes at what is not finished. UserError where no run meets a
    threat of the row.
    """
    chosen = tuple(runs if wanted.runs == "all" else wanted.runs)
    clips = ShardSet(shards, SPLIT)
    met = {name: _threats(models / name, wanted, clips, shards) for name in chosen}
    threats = tuple(threat for threat in THREATS if any(threat in each for each in met.values()))
    if not threats:
        raise UserError(f"transfer.rows.{row}: none of its runs can meet its threats")
    targets = Targets({name: models / name for name in chosen}, threats, wanted.multiples)
    weights = [file for name in chosen for file in checkpoint_files(models / name)]
    alike = wanted.perturbation == "universal"
    splits = {SPLIT, how.fit_on} if alike else {SPLIT}
    read = [path for split in splits for path in shards.glob(f"{split}-*.parquet")]
    files = [shards / "manifest.json", *sorted(read)]
    mark = fingerprint(wanted, how if alike else None, attack, seed, *files, *weights)
    place = Place(row, mark, shards, len(clips), attack, seed, targets)
    met = {name: threats for name, threats in met.items() if threats}
    made = _universal(place, met, how) if alike else _per_clip(place, tuple(met))
    labels = clips.labels > 0
    kept = shared(np.array(clips.clip_ids, np.str_), labels, Path(score.common_with))
    recordings = np.array(clips.source_ids, np.str_)[kept]
    cells: dict[Cell, Scored] = {}
    for source, played in made:
        left = {key: logits[kept] for key, logits in played.items()}
        cells |= score_cells(source, left, labels[kept], recordings, clips.task, score.confidence)
    return cells


class Place(NamedTuple):
    """What every perturbation of a matrix shares; `clips` of the eval split, `mark` for scratch."""

    row: str
    mark: str
    shards: Path
    clips: int
    attack: Attack
    seed: int
    targets: Targets


def _threats(model: Path, wanted: TransferRow, clips: ShardSet, shards: Path) -> tuple[str, ...]:
    """The threats of the row that a run can meet."""
    description = checkpoint.read_description(model)
    checkpoint.check_classes(model, description, clips.classes, shards)
    possible = threat_names(tuple(description["inputs"]))
    return tuple(t for t in possible if wanted.threats == "all" or t in wanted.threats)


def _per_clip(place: Place, runs: Sequence[str]) -> Iterator[tuple[str, dict[Played, Floats32]]]:
    """The sweep of stage attack once more, since it stores scores and not the clips themselves.

    Its points follow from seed and settings, so that they are those whose scores are stored.
    """
    settings = place.attack.model_copy(update={"examples": 0, "surface": Surface()})
    scratches = {name: Scratch(f"transfer-{place.row}-{name}", place.mark) for name in runs}
    for name, scratch in scratches.items():
        model = place.targets.models[name]
        chunks = chunks_of(
            place.clips, place.shards, model, settings, place.seed, scratch, planar=False
        )
        play = partial(play_chunk, targets=place.targets)
        last = name == runs[-1]
        through_rounds(chunks, play, scratch, f"transfer {name}", last=last)
        yield name, read_played([scratch.path(chunk.name) for chunk in chunks])
    for scratch in scratches.values():
        scratch.finish()


def _universal(
    place: Place, met: Mapping[str, Sequence[str]], how: UniversalFit
) -> Iterator[tuple[str, dict[Played, Floats32]]]:
    """One perturbation for each run, threat and budget."""
    scratch = Scratch(f"transfer-{place.row}", place.mark)
    tasks = [
        UniversalTask(
            place.targets.models[name],
            place.shards,
            place.attack,
            how,
            place.targets,
            threat,
            multiple,
            place.seed,
            scratch,
        )
        for name, threats in met.items()
        for threat in threats
        for multiple in place.targets.multiples
    ]
    finish(
        play_universal,
        [Phase(tasks, lambda at: scratch.has(tasks[at].name))],
        scratch,
        label=f"transfer {place.row}",
        workers=devices.worker_processes(),
        device=True,
    )
    for name in met:
        played: dict[Played, Floats32] = {}
        for task in tasks:
            if task.model.name == name:
                played |= read_played([scratch.path(task.name)])
        yield name, played
    scratch.finish()
