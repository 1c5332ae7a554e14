"""CSN, the convolutional self-attention network for log-mel audio."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmlib.models.base import Encoder
from mmlib.models.layers import conv_bn_relu
from mmlib.models.whole_batch import Dropout, attend

POOLS = ((2, 2), (2, 2), (1, 2), (1, 2), (1, 2))
"""(time, band) pooling after every second convolution."""

HEADS = 8


class Csn(Encoder):
    """Ten 3x3 convolutions with five poolings, transformer blocks, attention pooling over time.

    Input (B, T, F) normalised log-mel, F a multiple of 32, T at least 4; output (B, dim) with
    dim = width * F / 2: at the paper's size (width 32, 400 x 64) 100 steps of 1024 numbers.

    The pooled vector is sum_t a_t x_t with *one* attention weight a_t for each step. The linear
    head that follows is affine and the weights sum to 1, so head(pooled) equals the
    attention-pooled logits of the steps. The authors' code instead gives each class weights of its
    own and pools clamped probabilities: then no vector exists whose affine image is the logits,
    which convexity and density need, and the clamp hides gradients from attacks. Like the authors',
    the blocks are post-norm and have no positional encoding; unlike theirs, the convolutions have
    no bias (batch norm follows) and no dropout [choice].
    """

    def __init__(
        self,
        bands: int,
        *,
        width: int = 32,
        transformer_blocks: int = 2,
        share_blocks: bool = False,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for level, pool in enumerate(POOLS):
            for _ in range(2):
                layers += conv_bn_relu(channels, width << level)
                channels = width << level
            # Before the ReLU: the same numbers, and a ReLU of a quarter or half the elements.
            layers.insert(-1, nn.MaxPool2d(pool))
        self.convolutions = nn.Sequential(*layers)
        self.dim = channels * bands // 2 ** len(POOLS)
        count = 1 if share_blocks else transformer_blocks
        self.blocks = nn.ModuleList(TransformerBlock(self.dim, dropout) for _ in range(count))
        self.repeats = transformer_blocks // count
        self.dropout = Dropout(dropout)
        self.attention = nn.Linear(self.dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(1).contiguous(memory_format=torch.channels_last)  # B, 1, T, F
        x = self.convolutions(x)  # B, C, T, F
        x = x.transpose(1, 2).flatten(2)  # B, T, C * F
        x = self.dropout(x)
        for _ in range(self.repeats):
            for block in self.blocks:
                x = block(x)
        weights: Tensor = self.attention(x).softmax(dim=1)  # B, T, 1
        return (weights * x).sum(dim=1)


class TransformerBlock(nn.Module):
    """Self-attention and a feed-forward layer as wide as the model, each normed after its residual.

    (B, T, D) to (B, T, D); D a multiple of 8, the number of heads.
    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.project = nn.Linear(dim, dim)
        self.attention_norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, dim)
        self.contract = nn.Linear(dim, dim)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attention_norm(x + self.dropout(self.project(self._attend(x))))
        y = self.contract(F.relu(self.expand(x)))
        normed: Tensor = self.feed_forward_norm(x + self.dropout(y))
        return normed

    def _attend(self, x: Tensor) -> Tensor:
        count, steps, dim = x.shape
        split = self.query_key_value(x).view(count, steps, 3, HEADS, dim // HEADS)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each B, heads, T, D / heads
        if self.training and self.dropout.p:
            attended = attend(query, key, value, self.dropout.p)
        else:
            attended = F.scaled_dot_product_attention(query, key, value)
        return attended.transpose(1, 2).flatten(2)
