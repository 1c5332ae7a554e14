"""Attacks on how features follow one another in time: away from what neighbours share, or to it.

After the temporal invariance attack of Zhang et al. (ICLR 2025), which works on the redundancy of
neighbouring segments and states no budget; here the budget is the threat's, as for any attack.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmlib.attacks.core.evaluated import in_eval
from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.guided import Featured, guided
from mmlib.batch import Batch, Forward
from mmlib.runtime.errors import UserError

_STILL = 1e-6
"""Added to a variation before its logarithm: features that do not move at all have one too."""


def temporal(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    features: Featured | None = None,
    raised: bool = True,
    weight: float = 1.0,
    **settings: Any,
) -> Batch:
    """Climb the loss while the features' variation over time is raised, or with `raised` False
    lowered.

    The second term is the mean over the features of log `variation`; what `weight` makes of it
    `guided` says. `features` gives (B, T, ...) by name, and the logits; without it the model's own
    `sequences` does (UserError where there is none). Names that the threat does not hold count too:
    a feature of both modalities moves with either. `settings` and the result are those of `guided`:
    with `loss` None the variation alone is moved. Returns a new batch.

    >>> import torch
    >>> from mmlib.attacks import Budget, temporal
    >>> model = lambda batch: batch["x"].flatten(1)[:, :2]
    >>> shown = lambda batch: ({"x": batch["x"]}, model(batch))  # the frames are the features
    >>> batch, labels = {"x": torch.tensor([[[0.5], [0.6], [0.5]]])}, torch.tensor([0])
    >>> still = temporal(model, batch, labels, {"x": Budget(0.1)}, features=shown, raised=False,
    ...     loss=None)
    >>> still["x"].flatten().std() < batch["x"].flatten().std()
    tensor(True)
    """
    featured: Featured | None = features or getattr(model, "sequences", None)
    if featured is None:
        raise UserError(
            "temporal needs features along time: pass features, a function from a batch to (B, T, "
            "...) by name and the logits, or give the model a method `sequences` that does this"
        )
    with in_eval(model):
        return guided(
            featured,
            batch,
            labels,
            threat,
            term=_mean_log_variation,
            weight=weight if raised else -weight,
            **settings,
        )


def variation(sequence: Tensor) -> Tensor:
    """How much (B, T, ...) changes from step to step, (B,): mean squared step over mean square.

    Free of the features' scale: 0 for what stands still, 2 for what is independent from step to
    step, 4 for what changes its sign at each; 0 of a single step.
    """
    flat = sequence.flatten(2) if sequence.dim() > 2 else sequence[:, :, None]
    if flat.shape[1] < 2:
        return torch.zeros_like(flat[:, 0, 0])
    steps = (flat[:, 1:] - flat[:, :-1]).square().mean((1, 2))
    return steps / flat.square().mean((1, 2)).clamp_min(1e-12)


def _mean_log_variation(features: Mapping[str, Tensor]) -> Tensor:
    if not features:
        raise UserError("temporal was given no features: name at least one that has steps in time")
    found = [torch.log(variation(sequence) + _STILL) for sequence in features.values()]
    return torch.stack(found).mean(0)
