"""Training for randomised smoothing: Gaussian noise on every clip (Cohen et al. 2019, section 3).

A smoothed classifier asks the model about noisy copies of a clip, which a model that was trained on
clean clips has never seen. Noise leaves the box [0, 1], here as there.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from mmlib.batch import LabelledBatch
from mmlib.models import ranks
from mmlib.models.base import Model
from mmlib.training.objectives import Objective


class SmoothedObjective:
    """The loss of `objective` on noisy clips: one draw a clip and step, sigma a modality.

    `sigma`: modality -> standard deviation, in units of full scale; 0 leaves it as it is. Noise is
    drawn from the step's generator for the whole batch, whichever processes share it.
    """

    def __init__(self, objective: Objective, sigma: Mapping[str, float]) -> None:
        self.objective, self.sigma = objective, dict(sigma)

    def __call__(self, model: Model, batch: LabelledBatch, generator: torch.Generator) -> Tensor:
        """Return the loss of the noisy batch, a scalar."""
        rows = ranks.rows()
        inputs = dict(batch.inputs)
        for modality, sigma in self.sigma.items():
            if not sigma:
                continue
            clean = batch.inputs[modality]
            total = rows.total if rows else len(clean)
            noise = torch.randn(total, *clean.shape[1:], generator=generator)
            own = noise[rows.slice] if rows else noise
            inputs[modality] = clean + sigma * own.to(clean)
        return self.objective(model, batch._replace(inputs=inputs), generator)
