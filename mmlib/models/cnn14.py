"""CNN14 of PANNs (Kong et al. 2020, "PANNs: Large-scale pretrained audio neural networks")."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmlib.models.base import Encoder
from mmlib.models.layers import conv_bn_relu
from mmlib.models.whole_batch import Dropout

LEVELS = 6

DENSE_DROPOUT = 0.5
"""Before and after the dense layer. From class Cnn14 of qiuqiangkong/audioset_tagging_cnn
(pytorch/models.py, d2f4b8c): its embedding carries both, and so does what a new head reads in
their finetune_template.py; their own AudioSet head reads the vector before the second."""


class Cnn14(Encoder):
    """Six blocks of two 3x3 convolutions, then mean plus maximum over time and one dense layer.

    Input (B, T, F) normalised log-mel, T and F at least 32; output (B, 32 * width): 2048 at PANNs'
    width of 64. `dropout` follows each block (PANNs: 0.2). PANNs' batch norm over the input's bands
    (128 parameters) is not repeated here: the model normalises its input by fixed statistics.
    """

    def __init__(self, *, width: int = 64, dropout: float = 0.2) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        channels = 1
        for level in range(LEVELS):
            wide = width << level
            self.blocks.append(
                nn.Sequential(*conv_bn_relu(channels, wide), *conv_bn_relu(wide, wide))
            )
            channels = wide
        self.dim = channels
        self.dense = nn.Linear(channels, channels)
        self.dropout = Dropout(dropout)
        self.dense_dropout = Dropout(DENSE_DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(1).contiguous(memory_format=torch.channels_last)  # B, 1, T, F
        for level, block in enumerate(self.blocks):
            x = block(x)
            if level < LEVELS - 1:
                x = F.avg_pool2d(x, 2)
            x = self.dropout(x)
        x = x.mean(dim=3)  # B, C, T
        x = x.amax(dim=2) + x.mean(dim=2)
        x = F.relu(self.dense(self.dense_dropout(x)))
        embedding: Tensor = self.dense_dropout(x)
        return embedding
