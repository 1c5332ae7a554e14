"""Fast gradient sign method (Goodfellow et al. 2015), for any norm."""

from collections.abc import Sequence

from torch import Tensor

from mmlib.attacks.core.losses import Loss
from mmlib.attacks.core.search import Search, Start
from mmlib.attacks.core.threat import Threat
from mmlib.batch import Batch, Forward


def fgsm(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    loss: str | Loss = "bce",
    seeds: Sequence[int] | int = 0,
    start: Start = None,
) -> Batch:
    """Take the one step that is best for the loss's linearisation at the clean point.

    linf: eps times the sign of the gradient; l2 and l1: the optimum over ball and box. With
    `start`, the gradient is taken there instead. Returns a new batch; a clip whose loss the step
    would lower stays where the gradient was taken.

    >>> import torch
    >>> from mmlib.attacks import Budget, fgsm
    >>> model = lambda batch: batch["x"] @ torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    >>> batch, labels = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([0])
    >>> fgsm(model, batch, labels, {"x": Budget(0.1)})["x"]
    tensor([[0.5000, 0.5000]])
    """
    search = Search(model, batch, labels, threat, loss, seeds)
    points = search.clean if start is None else search.begin(start)
    _, gradients = search.gradients(points)
    search.losses(search.vertex(gradients))
    return search.result()
