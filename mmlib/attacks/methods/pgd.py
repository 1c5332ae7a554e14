"""Projected gradient descent (Madry et al. 2018), upwards: the gradient is added."""

from collections.abc import Sequence

from torch import Tensor

from mmlib.attacks.losses import Loss
from mmlib.attacks.search import Model, Search, Start
from mmlib.attacks.threat import Threat
from mmlib.batch import Batch


def pgd(
    model: Model,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    steps: int = 20,
    step_size: float = 2.5,
    restarts: int = 1,
    loss: str | Loss = "bce",
    seeds: Sequence[int] | int = 0,
    start: Start = None,
) -> Batch:
    """Maximise each clip's loss within its budgets by steepest ascent and projection.

    `step_size` is in multiples of eps / steps. The first restart begins at the best of `start`
    where that is given, the others at random points. Each clip gets the point of highest loss of
    all paths, starts and the clean point included. Returns a new batch; modalities outside the
    threat are the same objects. `seeds` is one seed a clip, or one number.
    """
    search = Search(model, batch, labels, threat, loss, seeds)
    begun = search.begin(start)
    for restart in range(restarts):
        warm = restart == 0 and start is not None
        climb(search, begun if warm else search.random("restart", restart), steps, step_size)
    return search.result()


def climb(search: Search, points: dict[str, Tensor], steps: int, step_size: float) -> None:
    """Follow one path of `steps` steps; the search keeps what it passes."""
    for _ in range(steps):
        _, gradients = search.gradients(points)
        points = search.ascend(points, gradients, step_size / steps)
    search.losses(points)
    if steps and any(region.norm != "linf" for region in search.regions.values()):
        # Unlike a sign step, an l2 or l1 step does not end in the region's corner by itself.
        search.losses(search.vertex(gradients))
