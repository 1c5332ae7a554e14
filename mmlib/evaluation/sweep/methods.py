"""The attacks that compete for each clip when attack.methods names more than PGD."""

from collections.abc import Callable
from dataclasses import dataclass
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
from mmlib.attacks.methods.mim import mim
from mmlib.attacks.methods.square import square
from mmlib.batch import Batch
from mmlib.params.attacks import Attack


@dataclass(frozen=True)
class Solution:
    """The strongest points found under a threat at a budget, and their logits."""

    points: Points
    logits: Tensor


def compete(
    search: Search, threat: Threat, settings: Attack, steps: int, begin: Points
) -> dict[str, Solution]:
    """Let every method but PGD attack from `begin` and offer its result to the search.

    Returns what each found on its own; `search` has run PGD already, if that is a method.
    """
    found: dict[str, Solution] = {}
    if "pgd" in settings.methods and search.best_logits is not None:
        found["pgd"] = Solution(search.best, search.best_logits)
    for name in settings.methods:
        if name == "pgd":
            continue
        attack, effort = _method(name, settings, steps)
        batch = attack(
            search.model,
            search.batch,
            search.labels,
            threat,
            loss=search.loss,
            seeds=search.seeds,
            start=begin,
            **effort,
        )
        points = {modality: batch[modality] for modality in threat}
        with torch.no_grad():
            found[name] = Solution(points, search.model(batch))
        search.offer(points, found[name].logits)
    return found


def _method(name: str, settings: Attack, steps: int) -> tuple[Callable[..., Batch], dict[str, Any]]:
    """The attack of this name, and how hard it tries."""
    known: dict[str, tuple[Callable[..., Batch], dict[str, Any]]] = {
        "apgd": (apgd, {"steps": steps, "restarts": settings.restarts}),
        "fgsm": (fgsm, {}),
        "mim": (mim, {"steps": steps}),
        "square": (square, {"queries": settings.queries}),
    }
    return known[name]
