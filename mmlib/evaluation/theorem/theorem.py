"""The smallest radii that break a uni-modal model and the fused one, clip by clip."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mmlib.attacks.core.losses import top
from mmlib.attacks.core.search import Model as AnyModel
from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.minimal import minimal_radius
from mmlib.attacks.methods.pgd import pgd
from mmlib.attacks.methods.silence import pgd_raised
from mmlib.batch import Batch, to_device
from mmlib.evaluation.attacked import (
    domain,
)
from mmlib.evaluation.attacked import (
    frozen as inference,
)
from mmlib.evaluation.attacked.threats import build_threat
from mmlib.evaluation.theorem.compare import Radii
from mmlib.models import (
    checkpoint,
    devices,
)
from mmlib.params import Attack, Theorem
from mmlib.runtime.errors import UserError
from mmlib.runtime.seeds import derive
from mmlib.runtime.workers import map_ordered
from mmlib.shards.read.loader import ShardSet

MODALITIES = {"A": "audio", "V": "video"}
"""The threats of the theorem, and the run whose model stands for each."""


@dataclass(frozen=True)
class Part:
    """Some rows of the eval split, one threat, and the two models that it is played to."""

    threat: str
    rows: tuple[int, ...]
    shards: Path
    models: tuple[Path, Path]
    attack: Attack
    settings: Theorem
    seed: int


def measure(
    shards: Path, models: Path, attack: Attack, settings: Theorem, seed: int
) -> dict[str, Radii]:
    """Search the radii of `settings.clips` eval clips, for audio and for video.

    Clips that lack the attacked modality are left out. Raises UserError when a run of
    theorem.runs is not of the modalities that it stands for.
    """
    clips = ShardSet(shards, "eval")
    fused = models / settings.runs.fused
    parts = []
    for threat, modality in MODALITIES.items():
        alone = models / getattr(settings.runs, modality)
        _check_modalities(alone, {modality}, f"theorem.runs.{modality}")
        _check_modalities(fused, set(MODALITIES.values()), "theorem.runs.fused")
        rows = _drawn(clips.present[modality], settings.clips, derive(seed, "theorem"))
        parts += [
            Part(threat, chunk, shards, (alone, fused), attack, settings, seed)
            for chunk in _chunks(rows, attack.batch_size)
        ]
    workers = devices.worker_processes()
    found: dict[str, list[Radii]] = {}
    results = map_ordered(_search, parts, label="theorem", workers=workers)
    for part, radii in zip(parts, results, strict=True):
        found.setdefault(part.threat, []).append(radii)
    return {threat: _joined(pieces) for threat, pieces in found.items()}


def _drawn(there: NDArray[np.bool_], wanted: int | None, seed: int) -> list[int]:
    """Rows that have the modality, ascending: all of them, or as many drawn without repeats."""
    rows = np.flatnonzero(there)
    if wanted is None or wanted >= len(rows):
        return [int(row) for row in rows]
    return sorted(np.random.default_rng(seed).choice(rows, wanted, replace=False).tolist())


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
    device = devices.select_in_worker()
    clips = ShardSet(part.shards, "eval")
    batch = domain.gather(clips, np.array(part.rows), domain=part.attack.domain)
    inputs, labels = to_device(batch.inputs, device), batch.labels.to(device)
    alone, fused = (_radii(model, batch.clip_ids, inputs, labels, part) for model in part.models)
    return Radii(batch.clip_ids, alone, fused)


def _radii(
    model: Path, clip_ids: Sequence[str], inputs: Batch, labels: torch.Tensor, part: Part
) -> NDArray[np.float64]:
    """The clips' radii in one model, which encodes the modality that is not attacked only once."""
    net = domain.load_model(model, labels.device, part.shards, part.attack.domain)
    frozen = inference.frozen(net, inputs)
    threat = build_threat(part.threat, part.attack, part.settings.reach, inputs)
    with torch.no_grad():
        embeddings = frozen.encode_all(inputs)
    batch, forward = inference.cached(frozen, inputs, embeddings, threat)
    seeds = [derive(part.seed, clip, part.threat) for clip in clip_ids]
    attack = pgd_raised if part.attack.domain == "waveform" else pgd
    return smallest(forward, batch, labels, threat, part.settings, seeds, attack=attack)


def smallest(
    model: AnyModel,
    batch: Batch,
    labels: torch.Tensor,
    threat: Threat,
    settings: Theorem,
    seeds: Sequence[int],
    *,
    attack: Callable[..., Batch] = pgd,
) -> NDArray[np.float64]:
    """The smallest multiple of attack.eps, (B,), at which no true tag is ranked first any more.

    `threat` holds the budgets at settings.reach, the largest multiple. For one label a clip this is
    the radius of misclassification; for several it is the per-clip criterion (iii) of the spec.
    """
    found = minimal_radius(
        model,
        batch,
        labels,
        threat,
        attack=attack,
        criterion=top,
        loss=top,
        tolerance=settings.tolerance,
        rounds=settings.rounds,
        steps=settings.steps,
        seeds=seeds,
    )
    radii: NDArray[np.float64] = (found.radius * settings.reach).cpu().numpy()
    return radii


def _joined(pieces: Sequence[Radii]) -> Radii:
    return Radii(
        tuple(clip_id for piece in pieces for clip_id in piece.clip_ids),
        np.concatenate([piece.alone for piece in pieces]),
        np.concatenate([piece.fused for piece in pieces]),
    )
