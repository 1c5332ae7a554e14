"""R(2+1)D for video (Tran et al. 2018), its convolutions run as 2-D ones.

A (1, k, k) and a (k, 1, 1) convolution are ordinary 2-D convolutions of the same memory, laid out
B, T, H, W, C: the first sees B * T pictures of H x W, the second B pictures of T x (H * W). Neither
view copies. On CPU this is 1.2 to 2.2 times as fast as Conv3d, and attacks can fold each batch norm
into the 2-D convolution before it.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from mmlib.models.base import Encoder
from mmlib.models.whole_batch import BatchNorm2d

STEM_MIDDLE = 45 / 64
"""Middle channels of the stem, as a share of its output channels (torchvision: 45 of 64)."""


class R2plus1d(Encoder):
    """Four layers of residual blocks of factorised convolutions; average over time and space.

    Input (B, channels, T, H, W), normalised, best laid out in memory as B, T, H, W, C; output
    (B, 8 * width). Width 64 with blocks (2, 2, 2, 2) is torchvision's r2plus1d_18: 512 numbers,
    31.3 M parameters without the head, the same output from the same weights.
    """

    def __init__(
        self, *, width: int = 64, blocks: tuple[int, ...] = (2, 2, 2, 2), channels: int = 3
    ) -> None:
        super().__init__()
        middle = max(1, round(STEM_MIDDLE * width))
        self.stem = Factorised(channels, middle, width, kernel=7, spatial_stride=2, time_stride=1)
        self.stem_norm = BatchNorm2d(width)
        self.layers = nn.ModuleList()
        wide = width
        for level, count in enumerate(blocks):
            for index in range(count):
                stride = 2 if level and not index else 1
                self.layers.append(Block(wide, width << level, stride))
                wide = width << level
        self.dim = wide
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 4, 1)  # B, T, H, W, C
        x = F.relu(over_space(self.stem_norm, self.stem(x)), inplace=True)
        for block in self.layers:
            x = block(x)
        return x.mean(dim=(1, 2, 3))


class Block(nn.Module):
    """A basic residual block of two factorised 3x3x3 convolutions; B, T, H, W, C in and out."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        # As many parameters as a full 3x3x3 convolution has (Tran et al., section 3.5).
        middle = (channels_in * channels_out * 27) // (channels_in * 9 + 3 * channels_out)
        self.first = Factorised(channels_in, middle, channels_out, 3, stride, stride)
        self.first_norm = BatchNorm2d(channels_out)
        self.second = Factorised(channels_out, middle, channels_out, 3, 1, 1)
        self.second_norm = BatchNorm2d(channels_out)
        self.stride = stride
        # oneDNN's gradient of a strided 1x1 convolution of 2 to 6 channels writes past its buffers
        # on CPUs with AVX2 but no AVX-512 (torch 2.14): strides are then taken before it.
        self.skip = stride if channels_in < 8 else 1
        self.shortcut: nn.Sequential | None = None
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride=stride // self.skip, bias=False),
                BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(over_space(self.first_norm, self.first(x)), inplace=True)
        y = over_space(self.second_norm, self.second(y))
        if self.shortcut is not None:
            # The 1x1x1 convolution strides over time too: it only ever reads every second frame.
            x = over_space(self.shortcut, x[:, :: self.stride, :: self.skip, :: self.skip])
        return F.relu(x + y, inplace=True)


class Factorised(nn.Module):
    """A convolution over space, batch norm, ReLU, a convolution over time; B, T, H, W, C."""

    def __init__(
        self,
        channels_in: int,
        middle: int,
        channels_out: int,
        kernel: int,
        spatial_stride: int,
        time_stride: int,
    ) -> None:
        super().__init__()
        self.space = nn.Conv2d(
            channels_in, middle, kernel, stride=spatial_stride, padding=kernel // 2, bias=False
        )
        self.norm = BatchNorm2d(middle)
        self.time = nn.Conv2d(
            middle, channels_out, (3, 1), stride=(time_stride, 1), padding=(1, 0), bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        count, steps = x.shape[:2]
        pictures = self.norm(self.space(x.flatten(0, 1).permute(0, 3, 1, 2)))
        pictures = F.relu(pictures, inplace=True)
        x = pictures.permute(0, 2, 3, 1)  # B * T, H, W, C
        height, width = x.shape[1:3]
        x = x.reshape(count, steps, height * width, x.shape[3]).permute(
            0, 3, 1, 2
        )  # B, C, T, H * W
        y: Tensor = self.time(x).permute(0, 2, 3, 1)  # B, T, H * W, C
        return y.reshape(count, y.shape[1], height, width, y.shape[3])


def over_space(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a 2-D layer to every frame of (B, T, H, W, C)."""
    pictures: Tensor = layer(x.flatten(0, 1).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    return pictures.view(*x.shape[:2], *pictures.shape[1:])
