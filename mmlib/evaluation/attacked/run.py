"""A trained run as it is attacked: in the attack's domain, frozen, with the clips that it meets."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch

from mmlib.attacks.core.threat import Threat
from mmlib.batch import Batch, LabelledBatch, to_device
from mmlib.evaluation.attacked import domain
from mmlib.evaluation.attacked.budgets import shapes_of, threat_at
from mmlib.evaluation.attacked.frozen import frozen
from mmlib.models import devices
from mmlib.models.base import Model
from mmlib.params.attacks import AttackMethod
from mmlib.runtime.arrays import Indices
from mmlib.shards.read.loader import ShardSet
from mmlib.threats import threat_on

SPLIT = "eval"
"""The split whose clips are attacked."""


@dataclass(frozen=True, eq=False)
class AttackedRun:
    """A trained run and the clips of a split (eval), as section attack says, on one device.

    `net` is the model as it was trained; where waveforms are attacked, behind the front end.
    """

    net: Model
    clips: ShardSet
    shards: Path
    settings: AttackMethod
    device: torch.device

    @classmethod
    def load(
        cls,
        model: Path,
        shards: Path,
        settings: AttackMethod,
        device: torch.device,
        split: str = SPLIT,
    ) -> "AttackedRun":
        """Load the checkpoint `model` (without suffix); UserError as `domain.load_model`."""
        net = domain.load_model(model, device, shards, settings.domain)
        return cls(net, ShardSet(shards, split, pixels=True), shards, settings, device)

    def beside(self, model: Path) -> "AttackedRun":
        """Another run on the same clips."""
        net = domain.load_model(model, self.device, self.shards, self.settings.domain)
        return replace(self, net=net)

    @cached_property
    def model(self) -> Model:
        """The net made cheap to attack: see `frozen`."""
        return frozen(self.net, self.gather(np.arange(1)).inputs)

    @property
    def uncompiled(self) -> Model:
        """The model as attacked, whose layers can be watched: a compiler keeps them to itself."""
        return (
            self.net.eval().requires_grad_(False) if devices.compiles(self.device) else self.model
        )

    @property
    def widest_threat(self) -> str:
        """The threat on all modalities of the run."""
        return threat_on(self.net.modalities)

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of one clip of each modality, as `gather` gives it."""
        return domain.input_shapes(self.clips, self.shards, self.settings.domain)

    def gather(self, rows: Indices, modalities: tuple[str, ...] | None = None) -> LabelledBatch:
        """Read clips in the attack's domain; of `modalities`, by default those of the run."""
        batch = domain.gather(
            self.clips, rows, modalities or self.net.modalities, domain=self.settings.domain
        )
        inputs = to_device(batch.inputs, self.device)
        return batch._replace(inputs=inputs, labels=batch.labels.to(self.device))

    def threat(self, name: str, multiple: float, inputs: Batch) -> Threat:
        """The budgets of a threat for clips as `gather` gives them: see `threat_at`."""
        return threat_at(name, self.settings, multiple, shapes_of(inputs))


@lru_cache(maxsize=2)
def loaded(
    model: Path, shards: Path, settings: AttackMethod, device: torch.device, split: str = SPLIT
) -> AttackedRun:
    """The run on a split, loaded and frozen once a process; UserError as `AttackedRun.load`."""
    return AttackedRun.load(model, shards, settings, device, split)
