"""A net's first convolution, made cheap to differentiate with respect to its input.

Training never asks for that gradient and attacks ask for nothing else. Libraries compute it slowly
on CPUs when the input has few channels (the 7x7 stem of R(2+1)D: a third of a PGD step, the 3x3 of
CSN a tenth): here it is an ordinary convolution, or one matrix product and a few additions.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

FEW = 4
"""Most input channels with which this pays."""


def is_first(layer: nn.Module) -> bool:
    """Whether the layer is a plain 2-D convolution of few channels on the CPU."""
    return (
        isinstance(layer, nn.Conv2d)
        and layer.in_channels <= FEW
        and layer.groups == 1
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
        and layer.weight.device.type == "cpu"
    )


class FirstLayer(nn.Module):
    """A frozen convolution that `is_first`; same output, same gradient of the input to rounding.

    (B, C, H, W) to (B, O, H', W'); weights are constants.
    """

    weight: Tensor
    bias: Tensor | None
    kernel: Tensor

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.stride, self.padding = layer.stride, layer.padding
        self.register_buffer("weight", layer.weight.detach())
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach())
        self.turns = [
            _turns(size, step, pad)
            for size, step, pad in zip(
                layer.kernel_size, layer.stride, _pair(layer.padding), strict=True
            )
        ]
        self.register_buffer("kernel", self._kernel())

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        if torch.is_grad_enabled() and x.requires_grad:
            convolved: Tensor = _Convolution.apply(x, self)
            return convolved
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)

    def input_gradient(self, gradient: Tensor, size: torch.Size) -> Tensor:
        """From the gradient of the output, (B, O, H', W'), to that of the input, `size`."""
        if self.stride == (1, 1):
            return self._shifted(gradient, size)
        return self._phases(gradient, size)

    def _shifted(self, gradient: Tensor, size: torch.Size) -> Tensor:
        """Stride 1: one product for all taps, each added at its place."""
        count, channels, height, width = size
        taps = self.weight.shape[2:]
        wide, down, across = self.weight.shape[0], *gradient.shape[2:]
        flat = gradient.permute(0, 2, 3, 1).reshape(-1, wide)
        parts = self.weight.reshape(wide, -1).t() @ flat.t()
        parts = parts.view(channels, *taps, count, down, across)
        total = gradient.new_zeros(channels, count, down + taps[0] - 1, across + taps[1] - 1)
        for row in range(taps[0]):
            for column in range(taps[1]):
                window = total[:, :, row : row + down, column : column + across]
                window += parts[:, row, column]
        top, left = _pair(self.padding)
        return total[:, :, top : top + height, left : left + width].transpose(0, 1)

    def _phases(self, gradient: Tensor, size: torch.Size) -> Tensor:
        """Stride s: input pixels s apart share their taps, so s x s convolutions side by side."""
        count, channels, height, width = size
        (down, across), blocks = self.stride, []
        pads: list[int] = []
        for axis, length in enumerate((height, width)):
            blocks.append(-(-length // self.stride[axis]))
            before, taps = self.turns[axis][1], len(self.turns[axis][0])
            pads = [before, blocks[axis] - gradient.shape[2 + axis] - before + taps - 1, *pads]
        found = F.conv2d(F.pad(gradient, pads), self.kernel)  # B, s * s * C, blocks
        pixels = found.permute(0, 2, 3, 1).view(count, *blocks, down, across, channels)
        whole = pixels.transpose(2, 3).reshape(count, blocks[0] * down, blocks[1] * across, -1)
        return whole[:, :height, :width].permute(0, 3, 1, 2)

    def _kernel(self) -> Tensor:
        """The taps of every phase, (s * s * C, O, taps, taps)."""
        weight = F.pad(self.weight, (0, 1, 0, 1))  # the added row and column stand for no tap
        (rows, _), (columns, _) = self.turns
        picked = weight[:, :, rows][..., columns]  # O, C, taps, phase, taps, phase
        kernel = picked.permute(3, 5, 1, 0, 2, 4).flatten(0, 2)
        return kernel.contiguous(memory_format=torch.channels_last)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: FirstLayer) -> Tensor:
        ctx.layer, ctx.size, ctx.dtype = layer, x.shape, x.dtype
        return F.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # Under autocast the output, and so its gradient, may be of less precision than the weights.
        found = ctx.layer.input_gradient(gradient.to(ctx.layer.weight.dtype), ctx.size)
        return found.to(ctx.dtype), None


def _turns(size: int, step: int, pad: int) -> tuple[Tensor, int]:
    """Which tap of the forward kernel is tap t of phase q of the gradient's, (taps, step).

    Input pixel step * b + q meets output b - m through tap step * m + q + pad, for the m that keep
    it in [0, size); `size` itself stands for none. Also the largest m, what to pad before.
    """
    largest, smallest = (size - 1 - pad) // step, -((pad + step - 1) // step)
    turned = torch.arange(largest, smallest - 1, -1)[:, None]
    taps = step * turned + torch.arange(step) + pad
    return torch.where((taps >= 0) & (taps < size), taps, size), largest


def _pair(padding: Any) -> tuple[int, int]:
    return int(padding[0]), int(padding[1])
