"""One run's perturbations played to every run that reads what they change."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.universal import fit, play
from mmlib.batch import Batch, LabelledBatch
from mmlib.evaluation.attacked.frozen import cached
from mmlib.evaluation.attacked.run import AttackedRun, loaded
from mmlib.evaluation.sweep.chunk import ChunkSweep
from mmlib.evaluation.sweep.work import Chunk, take
from mmlib.models import devices
from mmlib.params.attacks import Attack
from mmlib.params.transfer import UniversalFit
from mmlib.runtime import parquet
from mmlib.runtime.arrays import Floats32, Indices
from mmlib.runtime.scratch import Scratch
from mmlib.runtime.seeds import derive, drawn
from mmlib.threats import THREATS

Played = tuple[str, str, float]
"""The run that was played to, the threat, and the multiple of attack.eps; ("clean", 0) for none."""


@dataclass(frozen=True)
class Targets:
    """The runs that are played to, checkpoints without suffix by name, and under what.

    Every budget of every threat that both runs can meet.
    """

    models: Mapping[str, Path]
    threats: tuple[str, ...]
    multiples: tuple[float, ...]


@dataclass(frozen=True)
class UniversalTask:
    """One universal perturbation: of a run, under a threat at one budget."""

    model: Path
    shards: Path
    settings: Attack
    how: UniversalFit
    targets: Targets
    threat: str
    multiple: float
    seed: int
    scratch: Scratch

    @property
    def name(self) -> str:
        """The name of its piece in scratch."""
        return f"{self.model.name}-{self.threat}-{self.multiple:g}.parquet"


def play_chunk(task: tuple[Chunk, int], targets: Targets) -> None:
    """Take a chunk through one round of the sweep; after the last, play what it found."""
    chunk, number = task

    def end(run: AttackedRun, sweep: ChunkSweep, _: LabelledBatch) -> None:
        rows = np.arange(chunk.first, chunk.last)
        found = _clean(run, chunk.model.name, rows)
        for threat in targets.threats:
            for multiple in targets.multiples if (threat, 1.0) in sweep.solutions else ():
                points = sweep.solutions[threat, multiple].points
                changed = {name: points[name] for name in THREATS[threat]}
                put = _putting(changed)
                found |= _played(run, targets, threat, multiple, rows, put)
        chunk.scratch.write(chunk.name, lambda path: write_played(path, found))

    take(chunk, number, end)


def play_universal(task: UniversalTask) -> None:
    """Fit one perturbation to a run on clips of another split, and play it on the eval split."""
    device = devices.select_in_worker()
    run = loaded(task.model, task.shards, task.settings, device)
    fitted = loaded(task.model, task.shards, task.settings, device, task.how.fit_on)
    delta, threat = _fit(task, fitted)

    def put(inputs: Batch) -> Batch:
        return play(inputs, delta, threat)

    found: dict[Played, list[Tensor]] = {}
    for first in range(0, len(run.clips), task.settings.batch_size):
        rows = np.arange(first, min(first + task.settings.batch_size, len(run.clips)))
        piece = _clean(run, task.model.name, rows)
        piece |= _played(run, task.targets, task.threat, task.multiple, rows, put)
        for key, logits in piece.items():
            found.setdefault(key, []).append(logits)
    whole = {key: torch.cat(parts) for key, parts in found.items()}
    task.scratch.write(task.name, lambda path: write_played(path, whole))


def _fit(task: UniversalTask, run: AttackedRun) -> tuple[dict[str, Tensor], Threat]:
    """The perturbation, from clips that the seed draws, the same for every run."""
    seed = derive(task.seed, "transfer", "universal")
    rows = drawn(np.arange(len(run.clips)), task.how.clips, seed)
    size = task.settings.batch_size
    gathered = [run.gather(rows[first : first + size]) for first in range(0, len(rows), size)]
    threat = run.threat(task.threat, task.multiple, gathered[0].inputs)
    batches = [cached(run.model, each.inputs, None, threat) for each in gathered]
    clips = [(batch, each.labels) for (batch, _), each in zip(batches, gathered, strict=True)]
    forward = batches[0][1]
    loss = task.settings.loss
    return fit(forward, clips, threat, steps=task.how.steps, loss=loss), threat


def _putting(changed: Batch) -> Callable[[Batch], Batch]:
    return lambda inputs: {**inputs, **changed}


def _clean(run: AttackedRun, name: str, rows: Indices) -> dict[Played, Tensor]:
    with torch.no_grad():
        return {(name, "clean", 0.0): run.model(run.gather(rows).inputs).cpu()}


def _played(
    run: AttackedRun,
    targets: Targets,
    threat: str,
    multiple: float,
    rows: Indices,
    put: Callable[[Batch], Batch],
) -> dict[Played, Tensor]:
    """The logits (B, K) of each target that reads all that the threat attacks."""
    found = {}
    for name, path in targets.models.items():
        target = _beside(run, path)
        if set(THREATS[threat]) <= set(target.net.modalities):
            with torch.no_grad():
                logits = target.model(put(target.gather(rows).inputs))
            found[name, threat, multiple] = logits.cpu()
    return found


def write_played(path: Path, found: Mapping[Played, Tensor]) -> None:
    """Write a piece: a row per clip and what was played, clips in the split's order."""
    tables = [
        pa.table(
            {
                "target": [target] * len(logits),
                "threat": [threat] * len(logits),
                "multiple": pa.array([multiple] * len(logits), pa.float64()),
                "scores": parquet.binary_column(logits.float().numpy()),
            }
        )
        for (target, threat, multiple), logits in found.items()
    ]
    parquet.write_table(pa.concat_tables(tables), path)


def read_played(paths: list[Path]) -> dict[Played, Floats32]:
    """Join pieces of consecutive clips, in their order: (N, K) of each that was played."""
    found: dict[Played, list[Floats32]] = {}
    for path in paths:
        table = parquet.Reader(path, "a finished piece").read()
        scores = parquet.numbers_of(table.column("scores"), np.float32)
        columns = (table.column(name).to_pylist() for name in ("target", "threat", "multiple"))
        places: dict[Played, list[int]] = {}
        for place, key in enumerate(zip(*columns, strict=True)):
            places.setdefault(key, []).append(place)
        for key, rows in places.items():
            found.setdefault(key, []).append(scores[rows])
    return {key: np.concatenate(parts) for key, parts in found.items()}


@lru_cache(maxsize=32)
def _beside(run: AttackedRun, model: Path) -> AttackedRun:
    """Another run on the same clips, loaded and frozen once."""
    return run.beside(model)
