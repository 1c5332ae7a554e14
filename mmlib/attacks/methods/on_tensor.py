"""The attacks for models of one tensor."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from mmlib.attacks.core.evaluated import in_eval
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

    >>> import torch
    >>> from mmlib.attacks import Budget, on_tensor, pgd
    >>> net = torch.nn.Linear(2, 2).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
    >>> on_tensor(pgd, net, torch.tensor([[0.6, 0.4]]), torch.tensor([0]), Budget(0.1))
    tensor([[0.5000, 0.5000]])
    """
    if settings.get("start") is not None:
        settings["start"] = {_NAME: settings["start"]}

    def model(batch: Batch) -> Tensor:
        with in_eval(net):
            return net(batch[_NAME])

    return attack(model, {_NAME: inputs}, labels, {_NAME: budget}, **settings)[_NAME]
