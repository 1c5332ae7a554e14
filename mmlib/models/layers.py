"""The small parts that several nets share."""

import torch
from torch import Tensor, nn

from mmlib.models.whole_batch import BatchNorm2d


class Normalise(nn.Module):
    """Subtract a mean and divide by a standard deviation, both fixed buffers.

    It lives inside the model and not in the data, so that a perturbation budget keeps the unit of
    the data, [0, 1] of full scale. `mean` and `std` broadcast against the input.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        # A band that is constant over the training set (std 0) passes through as 0.
        self.register_buffer("scale", torch.where(std > 1e-6, 1.0 / std.clamp(min=1e-6), 0.0))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) * self.scale


def conv_bn_relu(channels_in: int, channels_out: int) -> list[nn.Module]:
    """Return a 3x3 convolution, batch norm and ReLU, initialised after He et al. 2015."""
    convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return [convolution, BatchNorm2d(channels_out), nn.ReLU(inplace=True)]


def hidden_layer(dim_in: int, dim_out: int) -> nn.Sequential:
    """Return a linear layer, layer norm and ReLU: the last non-linear step before a linear head.

    Layer norm and not batch norm: embeddings of the two modalities differ in scale, and a clip's
    logits must not depend on statistics that an attack or a retraining shifts [choice].
    """
    return nn.Sequential(nn.Linear(dim_in, dim_out), nn.LayerNorm(dim_out), nn.ReLU())
