"""A model behind something that is drawn: the expectation of its logits over transforms.

Any attack on it is one on a model whose inputs are encoded, played in a room or scaled before it
sees them (expectation over transformation, Athalye et al. 2018).
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from mmlib.batch import Batch, Forward
from mmlib.runtime.seeds import derive

Change = Callable[[Batch], Batch]
"""What one draw does to clips: differentiable, and the same whenever it is asked."""


class Transform(Protocol):
    """A family of changes, such as a codec at one quality, or rooms of one reverberation time."""

    def draw(self, batch: Batch, seeds: Sequence[int]) -> Change:
        """One change for each clip of the batch (B clips, B seeds).

        What has no gradient is carried out here, on these points, and its residual is what the
        change adds to whatever it is given: see `straight_through`.
        """
        ...


class Expectation:
    """The mean logits (B, K) of `model` over one draw of each transform, as an attack's model.

    All transforms are drawn at the first call; every later call, one a step of the attack, draws
    `draws` of them anew in turn, on the points that it is given, and uses the last draws of the
    others again. So a step costs `draws` encodings a clip, while all qualities have a say in it.
    `seeds`: one a clip. It is for one batch, whose clips must stay in their places.

    >>> import torch
    >>> from mmlib.attacks import Budget, Expectation, pgd
    >>> model = lambda batch: batch["x"] @ torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    >>> class Louder:
    ...     def draw(self, batch, seeds):
    ...         return lambda clips: {"x": 2 * clips["x"]}
    >>> batch, labels = {"x": torch.tensor([[0.6, 0.4]])}, torch.tensor([0])
    >>> pgd(Expectation(model, [Louder()], seeds=[7]), batch, labels, {"x": Budget(0.1)})["x"]
    tensor([[0.5000, 0.5000]])
    """

    def __init__(
        self,
        model: Forward,
        transforms: Sequence[Transform],
        *,
        seeds: Sequence[int],
        draws: int = 1,
    ) -> None:
        if not transforms:
            raise ValueError("an expectation is over one transform or more")
        self.model, self.transforms, self.seeds = model, tuple(transforms), tuple(seeds)
        self.draws = min(draws, len(self.transforms))
        self.changes: list[Change] = []
        self._drawn = 0

    def __call__(self, batch: Batch) -> Tensor:
        """Draw, and give the mean logits."""
        count = len(self.transforms)
        for _ in range(self.draws if self.changes else count):
            self._draw(self._drawn % count, batch)
        logits = [self.model(change(batch)) for change in self.changes]
        return torch.stack(logits).mean(0)

    def _draw(self, place: int, batch: Batch) -> None:
        points = {name: tensor.detach() for name, tensor in batch.items()}
        if any(len(tensor) != len(self.seeds) for tensor in points.values()):
            raise ValueError(f"an expectation over draws of {len(self.seeds)} clips, and others")
        seeds = [derive(seed, "transform", self._drawn, draw=True) for seed in self.seeds]
        with torch.no_grad():
            change = self.transforms[place].draw(points, seeds)
        self.changes[place:] = [change, *self.changes[place + 1 :]]
        self._drawn += 1


def straight_through(point: Tensor, changed: Tensor) -> Callable[[Tensor], Tensor]:
    """Add to a tensor what a change without gradient made of `point`, with the gradient of one.

    At `point` itself that is `changed`; near it, the change is taken to add the same.
    """
    residual = (changed - point).detach()
    return lambda x: x + residual
