"""The attacks for models of one tensor."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from mmlib.attacks.core.threat import Budget
from mmlib.batch import Batch

_NAME = "input"


def on_tensor(
    attack: Callable[..., Batch],
    net: Callable[[Tensor], Tensor],
    inputs: Tensor,
    labels: Tensor,
    budget: Budget,
    **settings: Any,
) -> Tensor:
    """Run an attack on a net that reads one tensor (B, ...) instead of a dict of them.

    `settings` go to the attack; `start`, if given, is a tensor too. Returns the adversarial tensor.
    """
    if settings.get("start") is not None:
        settings["start"] = {_NAME: settings["start"]}

    def model(batch: Batch) -> Tensor:
        return net(batch[_NAME])

    return attack(model, {_NAME: inputs}, labels, {_NAME: budget}, **settings)[_NAME]
