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

    All transforms are drawn at the first call; then every `hold`-th call, one a step of the attack,
    draws `draws` of them anew in turn, on the points that it is given, and uses the last draws of
    the others again. So `hold` steps cost `draws` encodings a clip, while all qualities have a say
    in each. `seeds`: one a clip. It is for one batch, whose clips must stay in their places.

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
        hold: int = 1,
    ) -> None:
        if not transforms:
            raise ValueError("an expectation is over one transform or more")
        self.model, self.transforms, self.seeds = model, tuple(transforms), tuple(seeds)
        self.draws, self.hold = min(draws, len(self.transforms)), hold
        self.changes: list[Change] = []
        self._drawn = self._asked = 0

    def __call__(self, batch: Batch) -> Tensor:
        """Draw where it is time to, and give the mean logits."""
        count = len(self.transforms)
        due = 0 if self._asked % self.hold else self.draws
        for _ in range(due if self.changes else count):
            self._draw(self._drawn % count, batch)
        self._asked += 1
        return self._mean(batch)

    def anew(self, *candidates: Batch) -> list[Tensor]:
        """The mean logits of each batch with every transform drawn anew on it, alike for all."""
        first, found = self._drawn, []
        for batch in candidates:
            self._drawn = first
            for place in range(len(self.transforms)):
                self._draw(place, batch)
            found.append(self._mean(batch))
        return found

    def _mean(self, batch: Batch) -> Tensor:
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
