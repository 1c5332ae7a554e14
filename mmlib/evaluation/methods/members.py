"""The methods that are compared, by name: how each attacks, and what it takes to do so."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mmlib.attacks.core.search import Points
from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.apgd import apgd
from mmlib.attacks.methods.mim import mim
from mmlib.attacks.methods.misalign import misalign
from mmlib.attacks.methods.noise import noise
from mmlib.attacks.methods.pgd import pgd
from mmlib.attacks.methods.sparse import sparse, supports_of
from mmlib.attacks.methods.temporal import temporal
from mmlib.batch import Batch, Forward
from mmlib.evaluation.attacked.features import Features
from mmlib.params.attacks import GUIDED, Attack
from mmlib.params.methods import SPARSE, MethodsSearch
from mmlib.runtime.seeds import derive

PGD, RESTART, NOISE = "pgd", "restart", "noise"


@dataclass(frozen=True)
class Entry:
    """A method with its setting: the share of the time that it may touch, or its term's weight.

    None for methods without either.
    """

    method: str
    setting: float | None = None

    @property
    def key(self) -> str:
        """A name of its own among all entries."""
        return self.method if self.setting is None else f"{self.method} {self.setting:g}"


def entries(search: MethodsSearch) -> list[Entry]:
    """What is compared, in order: noise, PGD, PGD from a random point, then those of the params."""
    found = [Entry(NOISE), Entry(PGD), Entry(RESTART)]
    for method in search.methods:
        settings = (
            search.shares if method in SPARSE else search.weights if method in GUIDED else (None,)
        )
        found += [Entry(method, setting) for setting in settings]
    return found


class Counted:
    """A model that counts how often it is asked: for gradients, and for logits alone."""

    def __init__(self, model: Callable[[Batch], Any]) -> None:
        self.model, self.gradients, self.passes = model, 0, 0

    def __call__(self, batch: Batch) -> Any:
        if torch.is_grad_enabled():
            self.gradients += 1
        else:
            self.passes += 1
        return self.model(batch)


@dataclass(frozen=True)
class Clips:
    """Clips to attack, what shows a model's features of them, and how hard each method tries.

    `begin` is where every path but a random one starts.
    """

    forward: Forward
    batch: Batch
    labels: Tensor
    clip_ids: tuple[str, ...]
    begin: Points
    features: Features
    settings: Attack
    search: MethodsSearch
    seed: int

    def possible(self, entry: Entry) -> bool:
        """Whether the model has the features that the method works on."""
        return entry.method not in GUIDED or self.features.of(entry.method) is not None

    def attack(self, entry: Entry, threat: Threat, *parts: str) -> tuple[Tensor, Counted]:
        """The logits (B, K) that a method leaves under a threat, and what it asked of the model.

        Seeds follow from each clip, the method and `parts`.
        """
        shown = self.features.of(entry.method) if entry.method in GUIDED else None
        counted = Counted(self.forward if shown is None else shown)
        seeds = [derive(self.seed, "methods", clip, entry.key, *parts) for clip in self.clip_ids]
        found = self._method(entry, counted)(
            self.forward if shown is not None else counted,
            self.batch,
            self.labels,
            threat,
            loss=self.settings.loss,
            seeds=seeds,
        )
        with torch.no_grad():
            return self.forward(found), counted

    def _method(self, entry: Entry, counted: Counted) -> Callable[..., Batch]:
        """The attack with its settings; all take the same number of gradient steps."""
        steps: Mapping[str, Any] = {"steps": self.search.steps, "start": self.begin}
        # From the clean clip, the first step goes to the edge of the ball, as in the sweep.
        first = max(self.settings.step_size, 1.0)
        path = {**steps, "step_size": first, "momentum": self.settings.momentum}
        guided = {**path, "weight": entry.setting, "features": counted}
        supports = supports_of(self.batch, entry.setting or 1.0)
        known: dict[str, Callable[..., Batch]] = {
            NOISE: partial(noise, draws=1),
            PGD: partial(pgd, **path),
            RESTART: partial(pgd, **{**path, "start": None}),
            "apgd": partial(apgd, **steps),
            "mim": partial(mim, **steps),
            "temporal_raise": partial(temporal, raised=True, **guided),
            "temporal_lower": partial(temporal, raised=False, **guided),
            "misalign": partial(misalign, **guided),
            "sparse": partial(sparse, supports=supports, **path),
            "sparse_random": partial(sparse, supports=supports, choose="random", **path),
        }
        return known[entry.method]
