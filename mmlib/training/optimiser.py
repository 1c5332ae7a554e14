"""The optimiser of all training, and its schedule."""

import math
from typing import Literal

import torch

from mmlib.models.base import Model


def learning_rate(
    peak: float,
    step: int,
    total: int,
    warmup_share: float,
    *,
    warmup_steps: int | None = None,
    schedule: Literal["cosine", "linear"] = "cosine",
) -> float:
    """Rate of step 0 ... total - 1: linear up to `peak` over the warm-up, then to 0.

    The warm-up takes `warmup_share` of the steps, or `warmup_steps` of them.
    """
    warmup = math.ceil(warmup_share * total) if warmup_steps is None else warmup_steps
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    if schedule == "linear":
        return peak * (1.0 - done)
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def adamw(model: Model, weight_decay: float) -> torch.optim.AdamW:
    """AdamW whose decay leaves biases, norms and learnt vectors alone."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, fused=True)
