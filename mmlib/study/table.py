"""A trained model under plain PGD at several budgets and numbers of steps."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from mmlib import devices, inference
from mmlib.attacks.methods.pgd import pgd
from mmlib.batch import to_device
from mmlib.evaluate import in_batches
from mmlib.loader import ShardSet
from mmlib.models.base import Model
from mmlib.params import Params
from mmlib.scratch import Scratch
from mmlib.seeds import derive
from mmlib.study.member import Line, line
from mmlib.sweep.threats import build_threat, threat_names
from mmlib.sweep.work import SPLIT


def cells(
    model: Model, settings: Params, data: Path, scratch: Scratch, name: str
) -> Iterator[Line]:
    """Yield a line for each budget and number of steps of params.study.table.

    All modalities of the model are attacked, from a random start, each clip anew at each budget,
    as in the published tables of this form. Finished cells are kept in `scratch`.
    """
    clips = ShardSet(data / "shards", SPLIT)
    table, labels = settings.study.table, clips.labels.astype(np.bool_)
    threat = threat_names(model.modalities)[-1]
    for multiple in table.multiples:
        for steps in table.steps:
            piece = f"{name}-{multiple:g}-{steps}.npy"
            if not scratch.has(piece):
                found = _attack(model, clips, settings, threat, multiple, steps)
                scratch.write(piece, partial(_save, found))
            logits = np.load(scratch.path(piece))
            eps = settings.attack.eps * multiple
            yield line("table", threat, eps, steps, labels, logits, clips.task)


def _attack(
    model: Model, clips: ShardSet, settings: Params, name: str, multiple: float, steps: int
) -> np.ndarray:
    device, attack = devices.select(), settings.attack
    found = []
    for batch in in_batches(clips, None, attack.batch_size, model.modalities):
        inputs, labels = to_device(batch.inputs, device), batch.labels.to(device)
        few = {key: tensor[:4] for key, tensor in inputs.items()}
        cheap = inference.frozen(model.to(device), few)
        threat = build_threat(name, attack, multiple, inputs)
        with torch.no_grad():
            embeddings = cheap.encode_all(inputs)
        carried, forward = inference.cached(cheap, inputs, embeddings, threat)
        seeds = [derive(settings.seed, clip, "table", str(multiple)) for clip in batch.clip_ids]
        attacked = pgd(forward, carried, labels, threat, steps=steps, loss=attack.loss, seeds=seeds)
        with torch.no_grad():
            found.append(forward(attacked).cpu().numpy())
    return np.concatenate(found)


def _save(logits: np.ndarray, path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, logits)
