"""Attacks on any callable model: pure functions from a batch to an adversarial batch.

`from mmlib.attacks import Budget, pgd` is for users of the library. The names below are imported
when they are asked for, so that a pipeline stage depends on the attacks that it runs and no others;
type checkers are told of them as if they were imported here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmlib.attacks.core.threat import Budget
    from mmlib.attacks.methods.apgd import apgd
    from mmlib.attacks.methods.decisions import AmongTop, ByThreshold, Crossing
    from mmlib.attacks.methods.ensemble import strongest
    from mmlib.attacks.methods.fgsm import fgsm
    from mmlib.attacks.methods.goals import hide, inject, swap
    from mmlib.attacks.methods.guided import guided
    from mmlib.attacks.methods.joint import shared
    from mmlib.attacks.methods.mim import mim
    from mmlib.attacks.methods.minimal import minimal, minimal_radius
    from mmlib.attacks.methods.misalign import misalign
    from mmlib.attacks.methods.noise import noise
    from mmlib.attacks.methods.on_tensor import on_tensor
    from mmlib.attacks.methods.pgd import pgd
    from mmlib.attacks.methods.ranked import ranked
    from mmlib.attacks.methods.rechecked import rechecked
    from mmlib.attacks.methods.several import several
    from mmlib.attacks.methods.sparse import Support, sparse, supports_of
    from mmlib.attacks.methods.square import square
    from mmlib.attacks.methods.temporal import temporal
    from mmlib.attacks.methods.transfer import transfer
    from mmlib.attacks.methods.universal import universal

__all__ = [
    "AmongTop",
    "Budget",
    "ByThreshold",
    "Crossing",
    "Support",
    "apgd",
    "fgsm",
    "guided",
    "hide",
    "inject",
    "mim",
    "minimal",
    "minimal_radius",
    "misalign",
    "noise",
    "on_tensor",
    "pgd",
    "ranked",
    "rechecked",
    "several",
    "shared",
    "sparse",
    "square",
    "strongest",
    "supports_of",
    "swap",
    "temporal",
    "transfer",
    "universal",
]

_HOMES = {
    "AmongTop": "methods.decisions",
    "Budget": "core.threat",
    "ByThreshold": "methods.decisions",
    "Crossing": "methods.decisions",
    "Support": "methods.sparse",
    "apgd": "methods.apgd",
    "fgsm": "methods.fgsm",
    "guided": "methods.guided",
    "hide": "methods.goals",
    "inject": "methods.goals",
    "mim": "methods.mim",
    "minimal": "methods.minimal",
    "minimal_radius": "methods.minimal",
    "misalign": "methods.misalign",
    "noise": "methods.noise",
    "on_tensor": "methods.on_tensor",
    "pgd": "methods.pgd",
    "ranked": "methods.ranked",
    "rechecked": "methods.rechecked",
    "several": "methods.several",
    "shared": "methods.joint",
    "sparse": "methods.sparse",
    "square": "methods.square",
    "strongest": "methods.ensemble",
    "supports_of": "methods.sparse",
    "swap": "methods.goals",
    "temporal": "methods.temporal",
    "transfer": "methods.transfer",
    "universal": "methods.universal",
}


if not TYPE_CHECKING:  # else every unknown name would be Any

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"mmlib.attacks has no {name!r}; it has {', '.join(_HOMES)}")
        return getattr(import_module(f"mmlib.attacks.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
