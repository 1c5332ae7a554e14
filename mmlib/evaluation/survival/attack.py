"""The attacks on some clips: one that looks at the model alone, one that is to survive encoding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.attacks.core.expectation import Change, Expectation, Transform
from mmlib.attacks.core.losses import resolve
from mmlib.attacks.core.region import Region
from mmlib.attacks.core.threat import build_threat
from mmlib.attacks.methods.apgd import apgd
from mmlib.attacks.methods.mim import mim
from mmlib.attacks.methods.pgd import pgd
from mmlib.attacks.methods.quantise import quantise
from mmlib.batch import Batch, Forward
from mmlib.evaluation.attacked.budgets import shapes_of
from mmlib.evaluation.survival.chain import Chain
from mmlib.params.survival import SurvivalAttack
from mmlib.runtime.seeds import derive
from mmlib.threats import THREATS

CLEAN = "clean"
PLAIN, AWARE = "plain", "aware"
"""An attack on the model as it is, and one on its expectation over what it is to survive."""


class Arm(NamedTuple):
    """Clips as one attack left them; all three are `CLEAN` for those that none touched."""

    threat: str
    method: str
    regard: str

    def key(self, place: int) -> str:
        """Under which its scores of a condition are kept; as it was written: place -1."""
        return f"{self.threat} {self.method} {self.regard} {place}"


UNTOUCHED = Arm(CLEAN, CLEAN, CLEAN)


@dataclass(frozen=True)
class Smooth:
    """Nothing but what the pipeline does to every clip, as the identity among transforms."""

    chain: Chain

    def draw(self, batch: Batch, seeds: Sequence[int]) -> Change:
        """The same for all clips and draws."""
        return self.chain.front


@dataclass(frozen=True, eq=False)
class Attacker:
    """What all attacks on some clips share: B `inputs`, as `Canvas.inputs`, and labels (B, K)."""

    settings: SurvivalAttack
    loss: str
    seed: int
    model: Forward
    clip_ids: Sequence[str]
    inputs: Batch
    labels: Tensor

    def attacked(
        self, arm: Arm, transforms: Sequence[Transform], rival: Batch | None = None
    ) -> Batch:
        """The inputs after an arm's attack on the expectation over the transforms, as stored.

        The budget holds for what is stored: samples and grey levels are rounded within it. A clip
        whose `rival`, stored too, has more loss behind a fresh draw of each transform keeps that.
        """
        settings, inputs = self.settings, self.inputs
        eps = {name: getattr(settings.eps, name) for name in THREATS[arm.threat]}
        threat = build_threat(eps, settings.norm, shapes_of(inputs))
        seeds = [derive(self.seed, "survival", clip_id, arm.threat) for clip_id in self.clip_ids]
        behind = Expectation(
            self.model, transforms, seeds=seeds, draws=settings.draws, hold=settings.hold
        )
        method = _method(arm.method, settings)
        found = method(behind, inputs, self.labels, threat, loss=self.loss, seeds=seeds)
        regions = {
            name: Region(inputs[name], budget, inputs.get(f"{name}_present"), name)
            for name, budget in threat.items()
        }
        stored = {**inputs, **quantise(regions, found)}
        return stored if rival is None else self._stronger(behind, regions, stored, rival)

    def _stronger(
        self, behind: Expectation, regions: dict[str, Region], points: Batch, rival: Batch
    ) -> Batch:
        with torch.no_grad():
            logits = behind.anew(points, rival)
        own, other = (resolve(self.loss)(each, self.labels) for each in logits)
        kept = {
            name: torch.where(region.column(own >= other), points[name], rival[name])
            for name, region in regions.items()
        }
        return {**points, **kept}


def _method(name: str, search: SurvivalAttack) -> Callable[..., Batch]:
    if name == "pgd":
        return partial(pgd, steps=search.steps, momentum=search.momentum)
    return partial(apgd if name == "apgd" else mim, steps=search.steps)
