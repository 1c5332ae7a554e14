"""Nets of a user's own for the pipeline's test: small, untrained, one of each form of input."""

from pathlib import Path

import torch
from torch import Tensor, nn

from mmlib.models.contract import Frames, LogMel, Waveform


class Both(nn.Module):
    """Waveform and frames in, logits out; no embedding."""

    def __init__(self, classes: list[str], width: int) -> None:
        super().__init__()
        self.inputs = {"audio": Waveform(8000, 2.0), "video": Frames(1, 1.0, 16)}
        self.classes = classes
        self.sound = nn.Conv1d(1, width, 64, stride=16)
        self.picture = nn.Conv2d(3, width, 5, stride=2)
        self.last = nn.Linear(2 * width, len(classes))

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        heard = self.sound(batch["audio"].unsqueeze(1)).relu().mean(2)
        seen = self.picture(batch["video"][:, :, 0]).relu().mean((2, 3))
        return {"logits": self.last(torch.cat([10 * heard, seen], 1))}


class Heard(nn.Module):
    """The data's log-mel in, logits out; its last layer reads its embedding."""

    def __init__(self, classes: list[str]) -> None:
        super().__init__()
        self.inputs = {"audio": LogMel()}
        self.classes = classes
        self.layer = nn.Sequential(nn.Conv2d(1, 8, 5, stride=3), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8, len(classes))

    def embed(self, batch: dict[str, Tensor]) -> Tensor:
        """The vector that the head reads."""
        found: Tensor = self.layer(batch["audio"].unsqueeze(1)).mean((2, 3))
        return found

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        logits: Tensor = self.head(self.embed(batch))
        return logits


def both(weights: Path | None, classes: list[str], width: int = 6) -> nn.Module:
    """A factory with an option."""
    return Both(classes, width)


def heard(weights: Path | None, classes: list[str]) -> nn.Module:
    """A factory that loads a file of weights, if it is given one."""
    net = Heard(classes)
    if weights is not None:
        net.load_state_dict(torch.load(weights, weights_only=True))
    return net
