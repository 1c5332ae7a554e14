"""The moving average of a model's weights, which is what training evaluates and saves."""

import copy

import torch
from torch import Tensor

from mmlib.models.base import Model


class WeightAverage:
    """Exponential average of all weights and batch-norm statistics of a model.

    After step t (from 0) the average moves by 1 - d towards the weights, d = min(decay, (1 + t) /
    (10 + t)), so that the first weights are soon forgotten; decay 0 keeps no average. Batch-norm
    means and variances are averaged as the weights are: the live ones belong to the live weights.
    """

    def __init__(self, model: Model, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        mine, theirs = self.model.state_dict(), model.state_dict()
        floats = [name for name, tensor in theirs.items() if tensor.is_floating_point()]
        self._average: list[Tensor] = [mine[name] for name in floats]
        self._live: list[Tensor] = [theirs[name] for name in floats]

    @property
    def tensors(self) -> list[Tensor]:
        """All weights and statistics, live and averaged, in whose place others may be written."""
        return [*self._live, *self._average]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the weights as they are after `step`."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._average, self._live, 1.0 - decay)
