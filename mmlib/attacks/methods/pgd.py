"""Projected gradient descent (Madry et al. 2018), upwards: the gradient is added."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from mmlib.attacks.core.losses import (
    Loss,
    of_rows,
    resolve,
)
from mmlib.attacks.core.search import Points, Search, Start
from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.momentum import gathered
from mmlib.batch import Batch, Forward

Schedule = Literal["linear", "constant"]


def pgd(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    steps: int = 20,
    step_size: float | None = None,
    schedule: Schedule = "linear",
    momentum: float = 0.0,
    restarts: int = 1,
    loss: str | Loss = "bce",
    seeds: Sequence[int] | int = 0,
    start: Start = None,
    broken: str | Loss | None = None,
) -> Batch:
    """Maximise each clip's loss within its budgets by steepest ascent and projection.

    Steps fall linearly from `step_size` radii to nothing, or stay there ("constant"): see
    `lengths`. With `momentum` they follow a running sum of gradients that keeps this share of
    itself a step (0: the last gradient alone). The first restart begins at the best of `start`
    where that is given, the others at random points. Each clip gets the point of highest loss of
    all paths, starts and the clean point included. Returns a new batch; modalities outside the
    threat are the same objects. `seeds` is one seed a clip, or one number.

    With `broken`, a loss that is above 0 for a broken clip ("top" for a wrong first class), clips
    leave the batch once broken: right where a broken clip counts the same however badly (accuracy),
    wrong for ranking metrics.

    >>> import torch
    >>> from mmlib.attacks import Budget, pgd
    >>> model = lambda batch: batch["x"] @ torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    >>> batch, labels = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([0])
    >>> pgd(model, batch, labels, {"x": Budget(0.1)}, steps=5)["x"]
    tensor([[0.5000, 0.5000]])
    """
    search = Search(model, batch, labels, threat, loss, seeds)
    leaving = None if broken is None else resolve(broken)
    path = lengths(steps, step_size, schedule)
    follow(search, start, path, restarts=restarts, broken=leaving, momentum=momentum)
    return search.result()


def follow(
    search: Search,
    start: Start,
    path: Sequence[float],
    *,
    restarts: int = 1,
    broken: Loss | None = None,
    momentum: float = 0.0,
) -> None:
    """Climb so many paths, the first from the best of `start` where that is given: see `pgd`."""
    begun = search.begin(start)
    for restart in range(restarts):
        warm = restart == 0 and start is not None
        points = begun if warm else search.random("restart", restart)
        climb(search, points, path, broken=broken, momentum=momentum)


def lengths(
    steps: int, step_size: float | None = None, schedule: Schedule = "linear"
) -> list[float]:
    """The steps of a path, in radii.

    Falling steps reach in 8 what Madry's constant 2.5 eps / steps reach in 12 to 20, on the demo's
    nets, for 4 to 20 steps and without tuning: they begin at half a radius, or at what brings a
    short path from one end of the ball to the other. The constant default is Madry's.
    """
    if schedule == "constant":
        return [2.5 / steps if step_size is None else step_size] * steps
    first = max(0.5, 4 / (steps + 1)) if step_size is None else step_size
    return [first * (1 - step / steps) for step in range(steps)]


def lengths_of_round(number: int, rounds: int, steps: int, step_size: float) -> list[float]:
    """The steps of round `number`, from 0, of a path of `rounds` times `steps` falling steps."""
    return lengths(rounds * steps, step_size)[steps * number :][:steps]


def climb(
    search: Search,
    points: Points,
    lengths: Sequence[float],
    *,
    broken: Loss | None = None,
    momentum: float = 0.0,
    running: Points | None = None,
) -> None:
    """Follow one path, a step of each length in turn; the search keeps what it passes.

    Clips leave the path once `broken` is above 0 for their best point. `running` is the sum of
    gradients that a path with `momentum` goes on from.
    """
    for step, length in enumerate(lengths):
        left = search.unbroken(broken)
        if len(left) < len(search.labels):
            if len(left):
                part = search.rows(left)
                cut = {name: point[left] for name, point in points.items()}
                kept = running and {name: total[left] for name, total in running.items()}
                rest = lengths[step:]
                still = of_rows(broken, left)
                climb(part, cut, rest, broken=still, momentum=momentum, running=kept)
                search.adopt(left, part)
            return
        _, gradients = search.gradients(points)
        if momentum:
            gradients = running = gathered(search, gradients, running, momentum)
        points = search.ascend(points, gradients, length)
    search.losses(points)
    if lengths and any(region.norm != "linf" for region in search.regions.values()):
        # Unlike a sign step, an l2 or l1 step does not end in the region's corner by itself.
        search.losses(search.vertex(gradients))
