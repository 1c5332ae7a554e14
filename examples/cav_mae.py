"""CAV-MAE after fine-tuning (Gong et al. 2023, arXiv 2210.07839), rewritten for a current torch.

The published code needs timm 0.4.5, which current torch cannot import. The names of the tensors
are those of the published checkpoints (as-full-51.2.pth, vgg_65.5.pth and so on), which begin
with `module.`. `labels` is the authors' class_labels_indices.csv, whose column display_name names
the outputs; without it these are the data's classes in their order.

Audio: mean-free waveform at 16 kHz -> filter bank of 1024 frames. Video: one or more frames, each
beside the whole sound; as in the paper, the score of a clip is the mean probability over its
frames (10, one a second, there).
"""

import csv
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmlib.batch import Batch
from mmlib.models.contract import Frames, Waveform
from mmlib.models.kaldi import filter_bank

BANDS, PATCH, DEPTH = 128, 16, 12
MEAN, STD = -5.081, 4.4849
PICTURE_MEAN, PICTURE_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Patches(nn.Module):
    """(B, C, H, W) -> tokens (B, N, D), row by row."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, PATCH, PATCH)

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.proj(x)
        return tokens.flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Every token hears every other."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return projected


class Mlp(nn.Module):
    """Four times as wide in between."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """A layer of the transformer, with norms for a single modality beside those for both.

    `only` is "" for both, "_a" or "_v" in nets that were fine-tuned on one modality alone.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        for only in ("", "_a", "_v"):
            self.add_module(f"norm1{only}", nn.LayerNorm(dim))
            self.add_module(f"norm2{only}", nn.LayerNorm(dim))
        self.attn = Attention(dim, heads)
        self.mlp = Mlp(dim)

    def forward(self, x: Tensor, only: str = "") -> Tensor:
        x = x + self.attn(self.get_submodule(f"norm1{only}")(x))
        attended: Tensor = x + self.mlp(self.get_submodule(f"norm2{only}")(x))
        return attended


class CavMae(nn.Module):
    """Waveform and frames, or one of the two, -> logits."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        classes: list[str],
        inputs: dict[str, Waveform | Frames],
        *,
        dim: int,
        heads: int,
        own: int,
        length: int,
        size: int,
        several: str,
    ) -> None:
        super().__init__()
        self.classes, self.inputs, self.length, self.several = classes, inputs, length, several
        self.only = "" if len(inputs) == 2 else "_a" if "audio" in inputs else "_v"
        tokens = {"a": length * BANDS // PATCH**2, "v": (size // PATCH) ** 2}
        for letter, channels in (("a", 1), ("v", 3)):
            blocks = nn.ModuleList(Block(dim, heads) for _ in range(own))
            position = 0.02 * torch.randn(1, tokens[letter], dim)
            self.add_module(f"patch_embed_{letter}", Patches(channels, dim))
            self.add_module(f"blocks_{letter}", blocks)
            self.add_module(f"norm_{letter}", nn.LayerNorm(dim))
            self.register_parameter(f"pos_embed_{letter}", nn.Parameter(position))
            self.register_parameter(f"modality_{letter}", nn.Parameter(torch.zeros(1, 1, dim)))
        self.blocks_u = nn.ModuleList(Block(dim, heads) for _ in range(DEPTH - own))
        self.norm = nn.LayerNorm(dim)
        self.mlp_head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, len(classes)))
        self.register_buffer("mean", torch.tensor(PICTURE_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(PICTURE_STD)[:, None, None], persistent=False)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Tokens of the sound, (B, N, D), or of each frame, (B, T, N, D)."""
        if modality == "video":
            pictures = x.transpose(1, 2)  # B, T, 3, H, W
            tokens = self._branch("v", ((pictures - self.mean) / self.std).flatten(0, 1))
            return tokens.view(*pictures.shape[:2], *tokens.shape[1:])
        centred = x - x.mean(dim=1, keepdim=True)
        energies = filter_bank(centred, bands=BANDS, frames=self.length)
        return self._branch("a", ((energies - MEAN) / STD).transpose(1, 2)[:, None])

    def _branch(self, letter: str, x: Tensor) -> Tensor:
        tokens = self.get_submodule(f"patch_embed_{letter}")(x)
        x = tokens + self.get_parameter(f"pos_embed_{letter}")
        x = x + self.get_parameter(f"modality_{letter}")
        for block in self.get_submodule(f"blocks_{letter}").children():
            x = block(x)
        return x

    def joined(self, tokens: Batch) -> Tensor:
        """What the head reads of each frame and all the sound, (B, T, D), T = 1 without frames."""
        x = tokens["audio"][:, None] if self.only == "_a" else tokens["video"]
        if not self.only:
            heard = tokens["audio"][:, None].expand(-1, x.shape[1], -1, -1)
            x = torch.cat((heard, x), 2)
        clips = x.shape[:2]
        x = x.flatten(0, 1)
        for block in self.blocks_u:
            x = block(x, self.only)
        x = self.get_submodule(f"norm{self.only}")(x).mean(1)
        read: Tensor = self.mlp_head[0](x)
        return read.view(*clips, -1)

    def classify(self, tokens: Batch) -> Tensor:
        """The logits (B, K) of what `encode` returns, by modality."""
        logits: Tensor = self.mlp_head[1](self.joined(tokens))
        if logits.shape[1] == 1:
            return logits[:, 0]
        if self.several == "softmax":  # logits whose softmax is the mean of the frames' softmax
            return logits.log_softmax(-1).logsumexp(1)
        return F.logsigmoid(logits).logsumexp(1) - F.logsigmoid(-logits).logsumexp(1)

    def forward(self, batch: Batch) -> Tensor:
        return self.classify({name: self.encode(name, batch[name]) for name in self.inputs})


class OneVector(CavMae):
    """The net on one frame, or on sound alone: a clip has one vector that the head reads."""

    @property
    def head(self) -> nn.Module:
        return self.mlp_head[1]

    def embed(self, batch: Batch) -> Tensor:
        return self.joined({name: self.encode(name, batch[name]) for name in self.inputs})[:, 0]


def factory(
    weights: Path | None,
    classes: list[str],
    *,
    modalities: str = "both",
    frames: int = 10,
    seconds: float = 10.0,
    labels: str = "",
    several: str = "sigmoid",
    dim: int = 768,
    heads: int = 12,
    own: int = 11,
    length: int = 1024,
    size: int = 224,
) -> CavMae:
    """Build the net; the defaults are the published ones.

    `modalities` is both, audio or video, as the checkpoint was fine-tuned; `several` says what is
    averaged over frames: sigmoid (AudioSet) or softmax (VGGSound) probabilities.
    """
    if labels:
        with Path(labels).open(newline="", encoding="utf-8") as file:
            classes = [row["display_name"] for row in csv.DictReader(file)]
    inputs: dict[str, Waveform | Frames] = {}
    if modalities != "video":
        inputs["audio"] = Waveform(16000, seconds)
    if modalities != "audio":
        inputs["video"] = Frames(frames, frames / seconds, size)
    kind = CavMae if "video" in inputs and frames > 1 else OneVector
    net = kind(
        classes, inputs, dim=dim, heads=heads, own=own, length=length, size=size, several=several
    )
    if weights:
        state = torch.load(weights, map_location="cpu")
        net.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    return net.eval()
