"""The smallest radii that break a uni-modal model and the fused one, clip by clip."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mmlib.attacks.core.losses import top
from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.minimal import minimal_radius
from mmlib.attacks.methods.pgd import pgd
from mmlib.attacks.methods.silence import pgd_raised
from mmlib.batch import Batch, Forward, LabelledBatch
from mmlib.evaluation.attacked.frozen import cached
from mmlib.evaluation.attacked.run import SPLIT, AttackedRun
from mmlib.evaluation.theorem.compare import Radii
from mmlib.models import (
    checkpoint,
    devices,
)
from mmlib.params.attacks import Attack
from mmlib.params.checks import RadiusSearch
from mmlib.runtime.arrays import Floats
from mmlib.runtime.errors import UserError
from mmlib.runtime.parquet import Reader
from mmlib.runtime.paths import checkpoint_files
from mmlib.runtime.pieces import results
from mmlib.runtime.scratch import Scratch, fingerprint
from mmlib.runtime.seeds import derive, drawn
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import MANIFEST_NAME
from mmlib.threats import MODALITIES, SINGLE


@dataclass(frozen=True)
class Part:
    """Some rows of the eval split, one threat, and the two models that it is played to."""

    threat: str
    rows: tuple[int, ...]
    shards: Path
    models: tuple[Path, Path]
    attack: Attack
    search: RadiusSearch
    seed: int


def measure(
    shards: Path,
    fused: Path,
    alone: Mapping[str, Path],
    attack: Attack,
    search: RadiusSearch,
    seed: int,
    *,
    scratch: Scratch,
) -> dict[str, Radii]:
    """Search the radii of `search.clips` eval clips under an attack on audio and one on video.

    `fused` and `alone` (modality -> model) are checkpoints without suffix. Clips that lack the
    attacked modality are left out. Finished parts are kept in `scratch` (see `progress`). Raises
    UserError when a run is not of the modalities that it stands for.
    """
    clips = ShardSet(shards, SPLIT)
    _check_modalities(fused, set(MODALITIES), "theorem.fused")
    parts = []
    for threat, modality in SINGLE.items():
        _check_modalities(alone[modality], {modality}, f"theorem.fused.{fused.name}.{modality}")
        there = np.flatnonzero(clips.present[modality])
        rows = drawn(there, search.clips, derive(seed, "theorem")).tolist()
        parts += [
            Part(threat, chunk, shards, (alone[modality], fused), attack, search, seed)
            for chunk in _chunks(rows, attack.batch_size)
        ]
    searched = results(
        _search,
        parts,
        scratch,
        names=[f"{part.threat}-{part.rows[0]:07d}" for part in parts],
        label="theorem",
        workers=devices.worker_processes(),
        device=True,
    )
    found: dict[str, list[Radii]] = {}
    for part, radii in zip(parts, searched, strict=True):
        found.setdefault(part.threat, []).append(radii)
    return {threat: _joined(pieces) for threat, pieces in found.items()}


def progress(
    shards: Path,
    fused: Path,
    alone: Mapping[str, Path],
    attack: Attack,
    search: RadiusSearch,
    seed: int,
) -> Scratch:
    """Where finished parts of the search with these arguments are kept."""
    clips = [Reader(path).identity for path in sorted(shards.glob(f"{SPLIT}-*.parquet"))]
    models = [fused, *(alone[modality] for modality in SINGLE.values())]
    files = [file for model in models for file in checkpoint_files(model)]
    mark = fingerprint(attack, search, seed, clips, shards / MANIFEST_NAME, *files)
    return Scratch(f"theorem-{fused.name}", mark)


def _chunks(rows: Sequence[int], size: int) -> list[tuple[int, ...]]:
    return [tuple(rows[first : first + size]) for first in range(0, len(rows), size)]


def _check_modalities(model: Path, wanted: set[str], key: str) -> None:
    has = set(checkpoint.read_description(model)["inputs"])
    if has != wanted:
        raise UserError(
            f"{key} is {model.name}, which reads {' and '.join(sorted(has))}; name a run that "
            f"reads {' and '.join(sorted(wanted))}"
        )


def _search(part: Part) -> Radii:
    alone, fused = part.models
    run = AttackedRun.load(fused, part.shards, part.attack, devices.select_in_worker())
    batch = run.gather(np.array(part.rows))
    runs = (run.beside(alone), run)
    return Radii(batch.clip_ids, *(_radii(each, batch, part) for each in runs))


def _radii(run: AttackedRun, clips: LabelledBatch, part: Part) -> Floats:
    """The clips' radii in one run, which encodes the modality that is not attacked only once."""
    threat = run.threat(part.threat, part.search.reach, clips.inputs)
    batch, forward = cached(run.model, clips.inputs, None, threat)
    seeds = [derive(part.seed, clip, part.threat) for clip in clips.clip_ids]
    attack = pgd_raised if part.attack.domain == "waveform" else pgd
    return smallest(forward, batch, clips.labels, threat, part.search, seeds, attack=attack)


def smallest(
    model: Forward,
    batch: Batch,
    labels: torch.Tensor,
    threat: Threat,
    search: RadiusSearch,
    seeds: Sequence[int],
    *,
    attack: Callable[..., Batch] = pgd,
) -> Floats:
    """The smallest multiple of attack.eps, (B,), at which no true tag is ranked first any more.

    `threat` holds the budgets at search.reach, the largest multiple. For one label a clip this is
    the radius of misclassification; for several the per-clip criterion of docs/metrics.md.
    """
    found = minimal_radius(
        model,
        batch,
        labels,
        threat,
        attack=attack,
        criterion=top,
        loss=top,
        tolerance=search.tolerance,
        rounds=search.rounds,
        steps=search.steps,
        seeds=seeds,
    )
    radii: Floats = (found.radius * search.reach).cpu().numpy()
    return radii


def _joined(pieces: Sequence[Radii]) -> Radii:
    return Radii(
        tuple(clip_id for piece in pieces for clip_id in piece.clip_ids),
        np.concatenate([piece.alone for piece in pieces]),
        np.concatenate([piece.fused for piece in pieces]),
    )
