"""A trained model under plain PGD: at several budgets and numbers of steps, and on val."""

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from mmlib.attacks.methods.pgd import pgd
from mmlib.evaluation.attacked.frozen import cached
from mmlib.evaluation.attacked.run import AttackedRun
from mmlib.evaluation.study.member import (
    Line,
    line,
)
from mmlib.models import devices
from mmlib.params.study import StudySettings
from mmlib.runtime import sealed
from mmlib.runtime.arrays import Floats32, Indices
from mmlib.runtime.scratch import Scratch
from mmlib.runtime.seeds import derive, drawn
from mmlib.runtime.storage import reading


def cells(model: Path, settings: StudySettings, data: Path, scratch: Scratch) -> Iterator[Line]:
    """Attack the checkpoint `model` (without suffix) at the budgets and steps of the study's table.

    Yields a line for each. All modalities of the model are attacked, on some of the clips, from
    a random start, each clip anew at each budget, as in the published tables of this form; eps 0
    with 0 steps is the clean clips. Finished cells are kept in `scratch`.
    """
    table, attack = settings.table, settings.attack
    run = AttackedRun.load(model, data / "shards", attack, devices.select())
    chosen = drawn(len(run.clips), table.clips, derive(settings.seed, "study", "table"))
    labels = run.clips.labels[chosen].astype(np.bool_)
    threat = run.widest_threat
    for multiple in (0.0, *table.multiples):
        for steps in table.steps if multiple else (0,):
            piece = f"{model.name}-{multiple:g}-{steps}.npy"
            if not scratch.has(piece):
                found = _attack(run, chosen, threat, multiple, steps, settings.seed)
                scratch.write(piece, partial(_save, found))
            logits = _load(scratch.path(piece))
            eps = attack.eps * multiple
            yield line("table", threat, eps, steps, labels, logits, run.clips.task)


def on_val(model: Path, settings: StudySettings, data: Path, scratch: Scratch) -> Line:
    """Attack the checkpoint `model` on the val split, all modalities at the headline budget.

    One line: the figure by which a setting of a row is chosen, since eval may not. Plain PGD from a
    random start, as in `cells`; kept in `scratch`.
    """
    attack = settings.attack
    run = AttackedRun.load(model, data / "shards", attack, devices.select(), "val")
    rows, threat, piece = np.arange(len(run.clips)), run.widest_threat, f"{model.name}-val.npy"
    if not scratch.has(piece):
        found = _attack(run, rows, threat, 1.0, attack.steps, settings.seed)
        scratch.write(piece, partial(_save, found))
    logits, labels = _load(scratch.path(piece)), run.clips.labels.astype(np.bool_)
    return line("val", threat, attack.eps, attack.steps, labels, logits, run.clips.task)


def _attack(
    run: AttackedRun, rows: Indices, name: str, multiple: float, steps: int, seed: int
) -> Floats32:
    """The logits of the clips at `rows` under one attack, batch after batch."""
    each, loss, found = run.settings.batch_size, run.settings.loss, []
    for part in np.split(rows, range(each, len(rows), each)):
        clip_ids, inputs, labels = run.gather(part)
        threat = run.threat(name, multiple, inputs)
        carried, forward = cached(run.model, inputs, None, threat)
        seeds = [derive(seed, clip, "table", str(multiple)) for clip in clip_ids]
        attacked = pgd(forward, carried, labels, threat, steps=steps, loss=loss, seeds=seeds)
        with torch.no_grad():
            found.append(forward(attacked).cpu().numpy())
    return np.concatenate(found)


def _save(logits: Floats32, path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, logits)
    sealed.append(path)


def _load(path: Path) -> Floats32:
    with reading(path, "finished logits"):
        logits: Floats32 = np.load(io.BytesIO(sealed.content(path)))
    return logits
