"""The optimiser of all training, and its schedule."""

import math

import torch

from mmlib.models.base import Model


def learning_rate(peak: float, step: int, total: int, warmup_share: float) -> float:
    """Rate of step 0 ... total - 1: linear up to `peak` over the warm-up, then a cosine to 0."""
    warmup = math.ceil(warmup_share * total)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def adamw(model: Model, weight_decay: float) -> torch.optim.AdamW:
    """AdamW whose decay leaves biases, norms and learnt vectors alone."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, fused=True)
