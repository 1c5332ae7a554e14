"""A trained model under plain PGD at several budgets and numbers of steps."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from mmlib.attacks.methods.pgd import pgd
from mmlib.batch import LabelledBatch, to_device
from mmlib.evaluation.attacked import (
    domain,
    frozen,
)
from mmlib.evaluation.attacked.threats import (
    build_threat,
    threat_names,
)
from mmlib.evaluation.study.member import (
    Line,
    line,
)
from mmlib.evaluation.sweep.attack import SPLIT
from mmlib.models import devices
from mmlib.models.base import Model
from mmlib.params.study import StudySettings
from mmlib.runtime.arrays import Floats32
from mmlib.runtime.scratch import Scratch
from mmlib.runtime.seeds import derive
from mmlib.shards.read.loader import ShardSet


def cells(model: Path, settings: StudySettings, data: Path, scratch: Scratch) -> Iterator[Line]:
    """Attack the checkpoint `model` (without suffix) at the budgets and steps of the study's table.

    Yields a line for each. All modalities of the model are attacked, on some of the clips, from
    a random start, each clip anew at each budget, as in the published tables of this form; eps 0
    with 0 steps is the clean clips. Finished cells are kept in `scratch`.
    """
    clips, table = ShardSet(data / "shards", SPLIT), settings.table
    rng = np.random.default_rng(derive(settings.seed, "study", "table"))
    size = min(table.clips or len(clips), len(clips))
    chosen = np.sort(rng.choice(len(clips), size, replace=False))
    labels = clips.labels[chosen].astype(np.bool_)
    form, each = settings.attack.domain, settings.attack.batch_size
    device = devices.select()
    attacked = domain.load_model(model, device, data / "shards", form)
    batches = [
        domain.gather(clips, rows, attacked.modalities, domain=form)
        for rows in np.split(chosen, range(each, size, each))
    ]
    attacked = frozen.frozen(attacked, to_device(batches[0].inputs, device))
    threat = threat_names(attacked.modalities)[-1]
    for multiple in (0.0, *table.multiples):
        for steps in table.steps if multiple else (0,):
            piece = f"{model.name}-{multiple:g}-{steps}.npy"
            if not scratch.has(piece):
                found = _attack(attacked, batches, settings, threat, multiple, steps)
                scratch.write(piece, partial(_save, found))
            logits = np.load(scratch.path(piece))
            eps = settings.attack.eps * multiple
            yield line("table", threat, eps, steps, labels, logits, clips.task)


def _attack(
    model: Model,
    batches: Sequence[LabelledBatch],
    settings: StudySettings,
    name: str,
    multiple: float,
    steps: int,
) -> Floats32:
    device, attack = devices.select(), settings.attack
    found = []
    for batch in batches:
        inputs, labels = to_device(batch.inputs, device), batch.labels.to(device)
        threat = build_threat(name, attack, multiple, inputs)
        carried, forward = frozen.cached(model, inputs, None, threat)
        seeds = [derive(settings.seed, clip, "table", str(multiple)) for clip in batch.clip_ids]
        attacked = pgd(forward, carried, labels, threat, steps=steps, loss=attack.loss, seeds=seeds)
        with torch.no_grad():
            found.append(forward(attacked).cpu().numpy())
    return np.concatenate(found)


def _save(logits: Floats32, path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, logits)
