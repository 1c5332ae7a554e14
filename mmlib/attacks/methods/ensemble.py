"""The strongest of several attacks for each clip; never the minimum of their means."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmlib.attacks.core.evaluated import evaluate
from mmlib.attacks.core.losses import (
    Loss,
    dlr_targeted,
    multi_hot,
    of_rows,
    resolve,
)
from mmlib.attacks.core.search import Search
from mmlib.attacks.core.threat import (
    Threat,
    rows,
)
from mmlib.attacks.methods.apgd import apgd
from mmlib.attacks.methods.square import square
from mmlib.batch import Batch, Forward

Member = tuple[Callable[..., Batch], dict[str, Any]]
"""An attack and its settings; its loss may differ from the one that clips are compared by."""


def strongest(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    members: Sequence[Member],
    loss: str | Loss = "bce",
    broken: str | Loss | None = None,
    seeds: Sequence[int] | int = 0,
) -> Batch:
    """Run the attacks in order and give each clip the result of highest `loss`.

    With `broken`, a loss that is above 0 for a broken clip ("top" for a wrong first class), clips
    leave the batch once broken: right where a broken clip counts the same however badly (accuracy),
    wrong for ranking metrics. Returns a new batch.

    >>> import torch
    >>> from mmlib.attacks import Budget, fgsm, pgd, strongest
    >>> model = lambda batch: batch["x"] @ torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    >>> batch, labels = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([0])
    >>> strongest(model, batch, labels, {"x": Budget(0.1)}, members=[(fgsm, {}), (pgd, {})])["x"]
    tensor([[0.5000, 0.5000]])
    """
    search = Search(model, batch, labels, threat, loss, seeds)
    search.losses(search.clean)
    criterion = None if broken is None else resolve(broken)
    for attack, settings in members:
        left = torch.arange(len(labels), device=labels.device)
        if criterion is not None and search.best_logits is not None:
            left = left[criterion(search.best_logits, labels) <= 0]
        if not len(left):
            break
        found = attack(
            model,
            {name: tensor[left] for name, tensor in batch.items()},
            labels[left],
            rows(threat, left),
            seeds=[search.seeds[row] for row in left.tolist()],
            **{**settings, "loss": of_rows(settings.get("loss", loss), left)},
        )
        search.losses(
            {name: search.best[name].index_copy(0, left, found[name]) for name in search.regions}
        )
    return search.result()


def apgd_targeted(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    targets: int = 9,
    loss: str | Loss = "top",
    seeds: Sequence[int] | int = 0,
    **settings: Any,
) -> Batch:
    """APGD on the targeted DLR loss, towards each of the clip's `targets` likeliest wrong classes.

    Single-label. A clip that a target has broken is not attacked again. `loss` compares the
    results; `settings` go to APGD.
    """
    with torch.no_grad():
        logits = evaluate(model, batch, len(labels))
    hot = multi_hot(labels, logits.shape[1])
    wrong = logits.masked_fill(hot > 0.5, -torch.inf).argsort(1, descending=True)
    search = Search(model, batch, labels, threat, loss, seeds)
    search.offer(search.clean, logits)
    for place in range(min(targets, logits.shape[1] - 1)):
        left = torch.nonzero(search.best_losses <= 0)[:, 0]
        if not len(left):
            break
        found = apgd(
            model,
            {name: tensor[left] for name, tensor in batch.items()},
            labels[left],
            rows(threat, left),
            loss=_Towards(wrong[left, place]),
            seeds=[search.seeds[row] for row in left.tolist()],
            **settings,
        )
        search.losses(
            {name: search.best[name].index_copy(0, left, found[name]) for name in search.regions}
        )
    return search.result()


@dataclass(frozen=True)
class _Towards:
    """The targeted DLR loss, with each clip's target class (B,)."""

    target: Tensor

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        return dlr_targeted(logits, labels, self.target)

    def rows(self, index: Tensor) -> "_Towards":
        """The loss of the clips at `index` alone."""
        return _Towards(self.target[index])


def single_label_members(steps: int = 100, queries: int = 5000) -> list[Member]:
    """AutoAttack's line-up for single-label models, cheapest first, without FAB.

    For `strongest(..., loss="top", broken="top")`. FAB minimises norms, which `minimal` does here.
    """
    gradient: dict[str, Any] = {"steps": steps, "broken": "top"}
    return [
        (apgd, {**gradient, "loss": "cross_entropy"}),
        (apgd, {**gradient, "loss": "top"}),
        (apgd_targeted, gradient),
        (square, {"queries": queries, "loss": "top"}),
    ]


def multi_label_members(steps: int = 50) -> list[Member]:
    """Attacks for multi-label models: BCE, its balanced form, and two ranking losses."""
    return [
        (apgd, {"steps": steps, "loss": loss})
        for loss in ("bce", "balanced_bce", "ranking", "margin")
    ]
