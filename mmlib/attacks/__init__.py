"""Attacks on any callable model: pure functions from a batch to an adversarial batch.

`from mmlib.attacks import Budget, pgd` is for users of the library. The names below are imported
when they are asked for, so that a pipeline stage depends on the attacks that it runs and no others.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Budget": "core.threat",
    "apgd": "methods.apgd",
    "fgsm": "methods.fgsm",
    "hide": "methods.goals",
    "inject": "methods.goals",
    "mim": "methods.mim",
    "minimal": "methods.minimal",
    "minimal_radius": "methods.minimal",
    "noise": "methods.noise",
    "on_tensor": "methods.on_tensor",
    "pgd": "methods.pgd",
    "rechecked": "methods.rechecked",
    "several": "methods.several",
    "shared": "methods.joint",
    "square": "methods.square",
    "strongest": "methods.ensemble",
    "swap": "methods.goals",
    "transfer": "methods.transfer",
    "universal": "methods.universal",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"mmlib.attacks has no {name!r}; it has {', '.join(_HOMES)}")
    return getattr(import_module(f"mmlib.attacks.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
