"""Attacks that may touch a few frames of the picture, or one stretch of the sound, and no more.

Which frames is part of the attack: those whose gradients promise most, found on the way. They are
those that a linear model with these gradients would lose most by: under linf, of most gain at the
region's corner; under l2 of most squared gradient; under l1 of the steepest element.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import max_pool1d, pad

from mmlib.attacks.core.losses import Loss
from mmlib.attacks.core.region import Region
from mmlib.attacks.core.search import Points, Search, Start
from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.pgd import follow, lengths
from mmlib.batch import Batch, Forward
from mmlib.runtime.errors import UserError
from mmlib.runtime.seeds import derive


@dataclass(frozen=True)
class Support:
    """How much of a modality may be touched: `count` steps along `axis` of its batch tensor.

    `stretch`: one run of neighbouring steps, as a sound that is played; else any steps.

    >>> from mmlib.attacks import Support
    >>> frames, sound = Support(2, axis=2), Support(1600, stretch=True)
    """

    count: int
    axis: int = 1
    stretch: bool = False

    def __post_init__(self) -> None:
        if self.count < 1 or self.axis < 1:
            raise UserError(
                f"a support needs a count of at least 1 and an axis after the clips', not {self}"
            )


def supports_of(batch: Batch, share: float) -> dict[str, Support]:
    """A share of the time of each modality, in the layout of `mmlib.batch`; at least one step.

    Any frames of the pictures, (B, 3, T, H, W); one stretch of the sound, (B, T, F) or (B, N).

    >>> import torch
    >>> from mmlib.attacks import supports_of
    >>> supports_of({"audio": torch.zeros(1, 100, 64)}, 0.25)
    {'audio': Support(count=25, axis=1, stretch=True)}
    """
    axes = {"video": 2, "audio": 1}
    return {
        name: Support(max(1, int(share * batch[name].shape[axis])), axis, name == "audio")
        for name, axis in axes.items()
        if name in batch
    }


def sparse(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    supports: Mapping[str, Support],
    choose: Literal["gradient", "random"] = "gradient",
    looks: int | None = None,
    steps: int = 20,
    step_size: float | None = None,
    momentum: float = 0.0,
    restarts: int = 1,
    loss: str | Loss = "bce",
    seeds: Sequence[int] | int = 0,
    start: Start = None,
) -> Batch:
    """PGD within the threat's budgets on a chosen support: everything else stays as it was.

    The first `looks` of the `steps` (a quarter, if None) are those of a PGD that may touch all;
    from its gradients each clip's steps are chosen, and the rest of the path goes on from its best
    point there. `choose` "random" draws them by the clip's seed, and spends all steps on them.
    Modalities without a support, and supports that leave out nothing, may change everywhere; where
    that is so of all, this is `pgd`. Returns a new batch.

    >>> import torch
    >>> from mmlib.attacks import Budget, Support, sparse
    >>> model = lambda batch: batch["x"].flatten(1) @ torch.tensor([[1.0], [-3.0], [2.0]])
    >>> loss = lambda logits, labels: logits[:, 0]
    >>> batch, labels = {"x": torch.full((1, 3, 1), 0.5)}, torch.tensor([[1.0]])
    >>> found = sparse(model, batch, labels, {"x": Budget(0.1)}, supports={"x": Support(2)},
    ...     loss=loss)
    >>> found["x"].flatten()  # the two heaviest of the three frames
    tensor([0.5000, 0.4000, 0.6000])
    """
    search = Search(model, batch, labels, threat, loss, seeds)
    bound = {
        name: supports[name]
        for name, points in search.clean.items()
        if name in supports and supports[name].count < points.shape[supports[name].axis]
    }
    if bound and choose == "gradient":
        spent = max(1, steps // 4) if looks is None else looks
        places, start = _looked(search.on(model), start, lengths(steps, step_size)[:spent], bound)
        steps = max(0, steps - spent)
    else:
        places = {name: _drawn(search, name, each) for name, each in bound.items()}
    for name, chosen in places.items():
        mask = _spread(chosen, search.clean[name], bound[name].axis)
        search.regions = {**search.regions, name: search.regions[name].within(mask)}
    follow(search, start, lengths(steps, step_size), restarts=restarts, momentum=momentum)
    return search.result()


def _looked(
    dense: Search, start: Start, path: Sequence[float], bound: Mapping[str, Support]
) -> tuple[dict[str, Tensor], Points]:
    """Climb without a support; the places (B, count) that promised most, and the best points."""
    begun = dense.begin(start)
    points = dense.random("look") if start is None else begun
    promised = {
        name: _energy(dense.regions[name], torch.zeros_like(points[name]), each)
        for name, each in bound.items()
    }
    for length in path:
        _, gradients = dense.gradients(points)
        for name, each in bound.items():
            promised[name] += _energy(dense.regions[name], gradients[name], each)
        points = dense.ascend(points, gradients, length)
    dense.losses(points)
    return {name: _heaviest(promised[name], each) for name, each in bound.items()}, dense.best


def _energy(region: Region, gradient: Tensor, support: Support) -> Tensor:
    """What a linear loss of this gradient gains by each step in time, (B, T): see `sparse`.

    Under l2 its square, under l1 its largest share of the radius: what steps are ranked by.
    """
    if region.norm == "linf":
        gain = gradient * (region.vertex(gradient) - region.clean)
    else:
        gain = gradient.square() if region.norm == "l2" else gradient.abs()
    by_step = gain.movedim(support.axis, 1).flatten(2) if gain.dim() > 2 else gain[:, :, None]
    found = by_step.amax(2) if region.norm == "l1" else by_step.sum(2)
    if support.stretch:
        return _of_stretches(found, support.count, largest=region.norm == "l1")
    return found


def _of_stretches(by_step: Tensor, count: int, *, largest: bool) -> Tensor:
    """The sum, or the largest, of each run of `count` steps, (B, T - count + 1)."""
    if largest:
        return max_pool1d(by_step[:, None], count, stride=1)[:, 0]
    sums = pad(by_step.double().cumsum(1), (1, 0))
    return (sums[:, count:] - sums[:, :-count]).to(by_step.dtype)


def _heaviest(energy: Tensor, support: Support) -> Tensor:
    """Which steps are chosen, as places (B, count): the first of those that weigh the same."""
    if support.stretch:
        return energy.argmax(1, keepdim=True) + torch.arange(support.count, device=energy.device)
    return energy.argsort(dim=1, descending=True, stable=True)[:, : support.count]


def _drawn(search: Search, name: str, support: Support) -> Tensor:
    """Steps that each clip's seed draws, as places (B, count)."""
    length, found = search.clean[name].shape[support.axis], []
    for seed in search.seeds:
        generator = torch.Generator().manual_seed(derive(seed, "support", name, draw=True))
        if support.stretch:
            first = torch.randint(length - support.count + 1, (1,), generator=generator)
            found.append(first + torch.arange(support.count))
        else:
            found.append(torch.randperm(length, generator=generator)[: support.count])
    return torch.stack(found).to(search.clean[name].device)


def _spread(places: Tensor, clean: Tensor, axis: int) -> Tensor:
    """Steps at `places` (B, count) as a mask of the clean points' shape."""
    chosen = torch.zeros(len(clean), clean.shape[axis], dtype=torch.bool, device=clean.device)
    chosen = chosen.scatter(1, places, True)
    shape = [len(clean), *[1] * (clean.dim() - 1)]
    shape[axis] = clean.shape[axis]
    return chosen.view(shape).expand_as(clean)
