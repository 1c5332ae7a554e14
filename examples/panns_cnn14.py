"""CNN14 of PANNs (Kong et al. 2020), with the weights of Cnn14_mAP=0.431.pth.

The published net returns probabilities; this one returns what its sigmoid is given. `labels` is
AudioSet's class_labels_indices.csv, whose column display_name names the 527 outputs; without it
the outputs are the data's classes in their order.
"""

import csv
from pathlib import Path

import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from mmlib.batch import Batch
from mmlib.models.cnn14 import Cnn14
from mmlib.models.contract import Waveform

PARTS = {"conv1": "0", "bn1": "1", "conv2": "3", "bn2": "4"}
FRONT_END = ("spectrogram_extractor.", "logmel_extractor.")


class Panns(nn.Module):
    """Waveform at 32 kHz -> logits."""

    window: Tensor
    filters: Tensor

    def __init__(self, classes: list[str], seconds: float, width: int) -> None:
        super().__init__()
        self.classes, self.inputs = classes, {"audio": Waveform(32000, seconds)}
        self.register_buffer("window", torch.hann_window(1024), persistent=False)
        filters = melscale_fbanks(513, 50.0, 14000.0, 64, 32000, norm="slaney", mel_scale="slaney")
        self.register_buffer("filters", filters, persistent=False)
        self.bn0 = nn.BatchNorm1d(64)
        self.net = Cnn14(width=width)
        self.head = nn.Linear(self.net.dim, len(classes))

    def embed(self, batch: Batch) -> Tensor:
        spectra = torch.stft(batch["audio"], 1024, 320, window=self.window, return_complex=True)
        power = torch.view_as_real(spectra).square().sum(-1).transpose(1, 2) @ self.filters
        decibels = 10.0 * power.clamp(min=1e-10).log10()
        embedding: Tensor = self.net(self.bn0(decibels.transpose(1, 2)).transpose(1, 2))
        return embedding

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.embed(batch))
        return logits


def renamed(key: str) -> str:
    """The published name of a tensor -> its name here."""
    if key.startswith("conv_block"):
        block, part, name = key.removeprefix("conv_block").split(".")
        return f"net.blocks.{int(block) - 1}.{PARTS[part]}.{name}"
    return key.replace("fc1.", "net.dense.").replace("fc_audioset.", "head.")


def factory(
    weights: Path | None,
    classes: list[str],
    *,
    seconds: float = 10.0,
    labels: str = "",
    width: int = 64,
) -> Panns:
    if labels:
        with Path(labels).open(newline="", encoding="utf-8") as file:
            classes = [row["display_name"] for row in csv.DictReader(file)]
    net = Panns(classes, seconds, width)
    if weights:
        state = torch.load(weights, map_location="cpu")["model"]
        kept = {renamed(k): v for k, v in state.items() if not k.startswith(FRONT_END)}
        net.load_state_dict(kept)
    return net.eval()
