"""Some clips of a run attacked by every method under one threat at every budget, in a process."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmlib.attacks.core.search import Points, Search
from mmlib.attacks.methods.silence import raised
from mmlib.batch import LabelledBatch
from mmlib.evaluation.attacked.features import shown
from mmlib.evaluation.attacked.frozen import cached_encoders
from mmlib.evaluation.attacked.run import AttackedRun, loaded
from mmlib.evaluation.methods.members import Clips, entries
from mmlib.models import devices
from mmlib.models.base import Model
from mmlib.params.attacks import Attack
from mmlib.params.methods import MethodsSearch
from mmlib.runtime.arrays import Floats32
from mmlib.runtime.seeds import derive
from mmlib.threats import THREATS


@dataclass(frozen=True)
class Part:
    """Clips at some places of the eval split, under one threat."""

    model: Path
    shards: Path
    attack: Attack
    search: MethodsSearch
    seed: int
    threat: str
    rows: tuple[int, ...]

    @property
    def name(self) -> str:
        """The name of its piece in scratch."""
        return f"{self.threat}-{self.rows[0]:08d}"


class Found(NamedTuple):
    """Logits of a part's clips, clean (B, K) and by entry (M, B, K), and what each entry asked.

    `asked`: entry -> gradients and logits alone, at the first budget. Entries that need features
    which the model does not have are absent.
    """

    clean: Floats32
    logits: dict[str, Floats32]
    asked: dict[str, tuple[int, int]]


def attack_part(part: Part) -> Found:
    """Attack a part by every method at every budget."""
    run = loaded(part.model, part.shards, part.attack, devices.select_in_worker())
    clips = _clips(part, run)
    with torch.no_grad():
        clean = clips.forward(clips.batch)
    logits: dict[str, Floats32] = {}
    asked: dict[str, tuple[int, int]] = {}
    for entry in filter(clips.possible, entries(part.search)):
        found = []
        for multiple in sorted(part.search.multiples):
            threat = run.threat(part.threat, multiple, clips.batch)
            left, counted = clips.attack(entry, threat, part.threat, str(multiple))
            asked.setdefault(entry.key, (counted.gradients, counted.passes))
            found.append(_array(left))
        logits[entry.key] = np.stack(found)
    return Found(_array(clean), logits, asked)


def _clips(part: Part, run: AttackedRun) -> Clips:
    held = run.gather(np.array(part.rows))
    model = run.uncompiled
    attacked = THREATS[part.threat]
    batch, encode = cached_encoders(model, held.inputs, None, attacked)

    def forward(inputs: dict[str, Tensor]) -> Tensor:
        return model.classify(encode(inputs))

    return Clips(
        forward,
        batch,
        held.labels,
        held.clip_ids,
        _begin(part, run, model, held),
        shown(model, encode, batch, attacked),
        part.attack,
        part.search,
        part.seed,
    )


def _begin(part: Part, run: AttackedRun, model: Model, held: LabelledBatch) -> Points:
    """The clean points; silent waveforms, which have no gradient, raised at the least budget."""
    threat = run.threat(part.threat, min(part.search.multiples), held.inputs)
    if part.attack.domain != "waveform" or "audio" not in threat:
        return {name: held.inputs[name] for name in threat}
    seeds = [derive(part.seed, "methods", clip, part.threat) for clip in held.clip_ids]
    search = Search(model, held.inputs, held.labels, threat, part.attack.loss, seeds)
    return raised(search, search.clean)


def _array(values: Tensor) -> Floats32:
    found: Floats32 = values.detach().float().cpu().numpy()
    return found
