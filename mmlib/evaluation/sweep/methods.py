"""The attacks that compete for each clip when attack.methods names more than PGD."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mmlib.attacks.core.search import (
    Points,
    Search,
)
from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.apgd import apgd
from mmlib.attacks.methods.fgsm import fgsm
from mmlib.attacks.methods.guided import Featured
from mmlib.attacks.methods.mim import mim
from mmlib.attacks.methods.misalign import misalign
from mmlib.attacks.methods.sparse import sparse, supports_of
from mmlib.attacks.methods.square import square
from mmlib.attacks.methods.temporal import temporal
from mmlib.batch import Batch
from mmlib.evaluation.attacked.features import Features, shown
from mmlib.evaluation.attacked.frozen import cached_encoders
from mmlib.models.base import Model
from mmlib.params.attacks import GUIDED, Attack

ALONE = " alone"
"""What follows a method's name where its own result is recorded beside the strongest."""


@dataclass(frozen=True)
class Solution:
    """The strongest points found under a threat at a budget, and their logits."""

    points: Points
    logits: Tensor


@dataclass(frozen=True)
class Path:
    """Where a method's path begins, how many steps it has, and how long the first is, in radii."""

    begin: Points
    steps: int
    first: float


def features_of(
    model: Model,
    batch: Batch,
    embeddings: Mapping[str, Tensor],
    attacked: Collection[str],
    settings: Attack,
) -> Features:
    """What the model shows of a batch, where a method that works on it competes.

    `embeddings` as for `frozen.cached_encoders`.
    """
    if not set(GUIDED).intersection(settings.methods):
        return Features(None, None)
    carried, encode = cached_encoders(model, batch, embeddings, attacked)
    return shown(model, encode, carried, attacked)


def compete(
    search: Search, threat: Threat, settings: Attack, path: Path, features: Features
) -> dict[str, Solution]:
    """Let every method but PGD attack from the path's beginning and offer its result to the search.

    Returns what each found on its own; `search` has run PGD already, if that is a method. Methods
    that work on features which the model does not have are left out.
    """
    found: dict[str, Solution] = {}
    if "pgd" in settings.methods and search.best_logits is not None:
        found["pgd"] = Solution(search.best, search.best_logits)
    for name in settings.methods:
        featured = features.of(name) if name in GUIDED else None
        if name == "pgd" or (name in GUIDED and featured is None):
            continue
        batch = _method(name, search, settings, path, featured)(
            search.model,
            search.batch,
            search.labels,
            threat,
            loss=search.loss,
            seeds=search.seeds,
            start=path.begin,
        )
        points = {modality: batch[modality] for modality in threat}
        with torch.no_grad():
            found[name] = Solution(points, search.model(batch))
        search.offer(points, found[name].logits)
    return found


def _method(
    name: str, search: Search, settings: Attack, path: Path, featured: Featured | None
) -> Callable[..., Batch]:
    """The attack of this name, and how hard it tries: those that climb take PGD's steps."""
    restarts: dict[str, Any] = {"steps": path.steps, "restarts": settings.restarts}
    climbing = {**restarts, "step_size": path.first, "momentum": settings.momentum}
    guided = {**climbing, "features": featured, "weight": settings.term_weight}
    supports = supports_of(search.batch, settings.time_share)
    known: dict[str, Callable[..., Batch]] = {
        "apgd": partial(apgd, **restarts),
        "fgsm": fgsm,
        "mim": partial(mim, steps=path.steps),
        "square": partial(square, queries=settings.queries),
        "temporal_raise": partial(temporal, raised=True, **guided),
        "temporal_lower": partial(temporal, raised=False, **guided),
        "misalign": partial(misalign, **guided),
        "sparse": partial(sparse, supports=supports, **climbing),
    }
    return known[name]
