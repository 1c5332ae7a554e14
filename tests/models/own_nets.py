"""Nets as users write them: one that keeps the contract, and one for each way to break it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmlib.batch import Batch
from mmlib.models.contract import Frames, Input, LogMel, Waveform

CLASSES = ["Rain", "Siren", "Bird"]
SOUND = Waveform(rate_hz=8000, seconds=0.5)
PICTURES = Frames(count=2, rate_hz=4.0, size=16)


class Plain(nn.Module):
    """Reads both modalities; a small convolution and batch norm of each, one head."""

    def __init__(self, inputs: dict[str, Input] | None = None, outputs: int = 3) -> None:
        super().__init__()
        self.inputs = inputs or {"audio": SOUND, "video": PICTURES}
        self.classes = CLASSES[:outputs]
        self.layers = nn.ModuleDict()
        for name, declared in self.inputs.items():
            if name == "video":
                self.layers[name] = nn.Sequential(nn.Conv3d(3, 4, 3), nn.BatchNorm3d(4), nn.ReLU())
            elif isinstance(declared, Waveform):
                self.layers[name] = nn.Sequential(nn.Conv1d(1, 4, 9), nn.BatchNorm1d(4), nn.ReLU())
            else:
                self.layers[name] = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4 * len(self.inputs), outputs)

    def embed(self, batch: Batch) -> Tensor:
        """The vector that the head reads."""
        return torch.cat([self.pooled(name, x) for name, x in batch.items()], 1)

    def pooled(self, name: str, x: Tensor) -> Tensor:
        """One modality's part of it."""
        x = functional.pad(x, (0, 0, 0, 0, 1, 1)) if name == "video" else x.unsqueeze(1)
        found: Tensor = self.layers[name](x - 0.3).flatten(2).mean(2)
        return found

    def forward(self, batch: Batch) -> Any:
        return 4 * self.head(self.embed(batch))


class Kept(Plain):
    """Its head is its last layer, so that it has an embedding that counts."""

    def forward(self, batch: Batch) -> Any:
        return self.head(self.embed(batch))


class Apart(Kept):
    """It can be computed one branch at a time."""

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """One branch."""
        return self.pooled(modality, x)

    def classify(self, vectors: Batch) -> Tensor:
        """What follows the branches."""
        found: Tensor = self.head(torch.cat([vectors[name] for name in self.inputs], 1))
        return found


class NoEmbedding(Plain):
    """Gives its logits alone."""

    embed = None  # type: ignore[assignment]

    def forward(self, batch: Batch) -> Any:
        return self.logits(batch)

    def logits(self, batch: Batch) -> Tensor:
        """Its logits."""
        found: Tensor = 4 * self.head(Plain.embed(self, batch))
        return found


class Sigmoid(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        return self.logits(batch).sigmoid()


class Softmax(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        return self.logits(batch).softmax(1)


class NoGradient(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        with torch.no_grad():
            return self.logits(batch)


class DetachedVideo(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        return self.logits({**batch, "video": batch["video"].detach()})


class Unread(NoEmbedding):
    """Declares pictures and reads none."""

    def forward(self, batch: Batch) -> Any:
        return self.logits({**batch, "video": torch.zeros_like(batch["video"])})


class Numpy(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        louder = torch.from_numpy(2 * batch["audio"].numpy())
        return self.logits({**batch, "audio": louder})


class BatchStatistics(NoEmbedding):
    """Its batch norm is in training mode whatever eval() says."""

    def train(self, mode: bool = True) -> "BatchStatistics":
        """Stay as it is."""
        return self

    def forward(self, batch: Batch) -> Any:
        self.layers.train(True)
        return self.logits(batch)


class Dropout(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        return functional.dropout(self.logits(batch), 0.5)


class Remembers(NoEmbedding):
    """Each call moves the next one's logits."""

    state = 0.0

    def forward(self, batch: Batch) -> Any:
        logits = self.logits(batch) + self.state
        self.state = float(logits.detach().mean())
        return logits


class InPlace(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        batch["audio"] -= batch["audio"].mean(1, keepdim=True)
        return self.logits(batch)


class Tuple(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        return self.logits(batch), None


class Scores(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        return {"scores": self.logits(batch)}


class Output(NoEmbedding):
    """As Hugging Face's models give it, without the field that is looked for."""

    def forward(self, batch: Batch) -> Any:
        return SimpleNamespace(last_hidden_state=self.logits(batch))


class Half(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        return self.logits(batch).half()


class WrongWidth(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        return self.logits(batch)[:, :2]


class OtherDevice(NoEmbedding):
    """A constant that does not go where the net goes: here, on no real device at all."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.ones(3, device="meta")

    def forward(self, batch: Batch) -> Any:
        return self.logits(batch) * self.scale


class Raises(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        raise KeyError("sound")


class Nan(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        return self.logits(batch) + torch.tensor(0.0).log() * 0


class RootOfZero(NoEmbedding):
    """Finite logits, but a gradient that is not."""

    def forward(self, batch: Batch) -> Any:
        return self.logits(batch) + (batch["audio"] * 0).square().sum(1, keepdim=True).sqrt()


class OtherHead(Plain):
    """Its head does not give what forward gives."""


class LogitsObject(NoEmbedding):
    """An output object that has logits, as they should be."""

    def forward(self, batch: Batch) -> Any:
        return SimpleNamespace(logits=self.logits(batch))


class LogitsDict(NoEmbedding):
    def forward(self, batch: Batch) -> Any:
        return {"logits": self.logits(batch), "loss": None}


class Guarded(NoEmbedding):
    """Refuses what no clip can be; its mode is set by a method that returns nothing."""

    def train(self, mode: bool = True) -> None:  # type: ignore[override]
        """As `nn.Module.train`, but for what it returns."""
        super().train(mode)

    def forward(self, batch: Batch) -> Any:
        for x in batch.values():
            assert x.abs().max() <= 1, "out of range"
        return self.logits(batch)


class Lazy(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.LazyLinear(3)


class Hooked(NoEmbedding):
    """Reads its features through a hook that knows this very object, not a copy of it."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Tensor] = {}

        def keep(name: str) -> Any:
            return lambda _, __, output: self.kept.update({name: output})

        for name, layer in self.layers.items():
            layer.register_forward_hook(keep(name))

    def forward(self, batch: Batch) -> Any:
        Plain.embed(self, batch)
        vectors = [self.kept[name].flatten(2).mean(2) for name in batch]
        return 4 * self.head(torch.cat(vectors, 1))


def heard(weights: Path | None, classes: list[str]) -> nn.Module:
    """A factory: a net of log-mel alone, with as many outputs as the data has classes."""
    net = Kept({"audio": LogMel()})
    net.classes, net.head = classes, nn.Linear(4, len(classes))
    return net
