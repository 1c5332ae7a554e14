"""Dropout and batch norm that several processes which share a batch compute as one would.

Alone, and in eval mode, they are torch's own, to the bit. torch's SyncBatchNorm runs on GPUs only.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmlib.models import ranks


class Dropout(nn.Dropout):
    """torch's Dropout; the masks are those of the whole batch, of which a process takes its rows.

    The first axis is that of the clips.
    """

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p) if self.training else x


def dropout(x: Tensor, share: float) -> Tensor:
    """Zero a random `share` of the elements and scale the others up, in training."""
    rows = ranks.rows()
    if rows is None or share == 0:
        return F.dropout(x, share)
    # Drawn in the order of memory, as torch draws for the batch whose rows these are.
    dense = x.stride(0) == math.prod(x.shape[1:])
    shape = (rows.total, *x.shape[1:])
    ones = (
        torch.empty_strided(shape, x.stride(), dtype=x.dtype, device=x.device)
        if dense
        else (x.new_empty(shape))
    )
    return x * F.dropout(ones.fill_(1.0), share)[rows.slice]


def attend(query: Tensor, key: Tensor, value: Tensor, share: float) -> Tensor:
    """Scaled dot-product attention, (B, H, T, D) each, with dropout of the weights, in training.

    What torch computes on CPUs, to the bit, where its weights are dropped out. Its kernels for
    GPUs draw masks of which no process could take its rows.
    """
    scale = math.sqrt(1.0 / math.sqrt(query.shape[-1]))
    weights = (query * scale) @ (key.transpose(-2, -1) * scale)
    return dropout(weights.softmax(dim=-1), share) @ value


class BatchNorm2d(nn.BatchNorm2d):
    """torch's BatchNorm2d, in training with the statistics of the clips of all processes.

    Where a channel has one value, it has no variance (torch raises ValueError): one clip of a batch
    has the modality, and the net pools it to one place. Such a batch is normed as in eval mode,
    by the statistics that others left, and leaves none itself.
    """

    def forward(self, x: Tensor) -> Tensor:
        rows = ranks.rows()
        assert self.running_mean is not None
        assert self.running_var is not None
        clips = len(x) if rows is None else rows.total
        if self.training and clips * x.shape[2:].numel() == 1:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        if not self.training or rows is None:
            return super().forward(x)
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        y, mean, variance, count = _Norm.apply(x, self.weight, self.bias, self.eps)
        with torch.no_grad():
            self.num_batches_tracked += 1
            unbiased = (variance * (count / (count - 1).clamp_min(1))).to(variance.dtype)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
        normed: Tensor = y
        return normed


class _Norm(torch.autograd.Function):
    """Batch norm over (B, C, H, W) of all processes; a process may have no clip at all.

    Gives the output, and mean, biased variance and count (1,) of all elements of a channel. The
    gradients of weight and bias are those of this process's clips, as those of all other
    parameters are: they are summed after the backward pass.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean, variance, count = _moments(x)
        y = F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt(), count)
        ctx.mark_non_differentiable(mean, variance, count)
        return y, mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse, count = ctx.saved_tensors
        gradient = gradients[0].to(mean.dtype)
        normed = (x.to(mean.dtype) - _wide(mean)) * _wide(inverse)
        axes = (0, 2, 3)
        own = torch.stack([gradient.sum(axes), (gradient * normed).sum(axes)])
        sums = (ranks.total(own.to(torch.float64, copy=True)) / count).to(own.dtype)
        rest = gradient - _wide(sums[0]) - normed * _wide(sums[1])
        return (_wide(weight * inverse) * rest).to(x.dtype), own[1], own[0], None


def _moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, biased variance (C,) and count (1,) of all processes' elements of each channel.

    Each process's squares are taken about its own mean and joined as Chan et al. 1979 do, which
    loses no digits where the mean is large.
    """
    exact = x.to(torch.promote_types(x.dtype, torch.float32))
    channels, elements = x.shape[1], x.numel() // x.shape[1]
    if elements:
        variance, mean = torch.var_mean(exact, (0, 2, 3), correction=0)
    else:
        variance, mean = exact.new_zeros(2, channels)
    own = torch.cat([mean, variance, mean.new_tensor([elements])])
    found = ranks.gathered(own.double())
    means, variances, counts = torch.split(found, [channels, channels, 1], dim=1)
    count = counts.sum(0)
    joint = (means * counts).sum(0) / count
    spread = ((variances + (means - joint).square()) * counts).sum(0) / count
    return joint.to(mean.dtype), spread.to(mean.dtype), count


def _wide(values: Tensor) -> Tensor:
    return values[:, None, None]
