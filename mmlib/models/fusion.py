"""Models of audio and video together: mid, sum, gated, late and early fusion.

Each has a penultimate vector, "fused", and a linear head on it. The paper's mid fusion is
f(g(x_A) + h(x_V)) with + a concatenation; the others are for comparison [choice].
"""

from abc import abstractmethod
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmlib.batch import Batch
from mmlib.models.base import Encoder, Model
from mmlib.models.layers import Normalise, hidden_layer
from mmlib.models.whole_batch import Dropout


class Fusion(Model):
    """Two encoders whose vectors are joined; subclasses say how.

    `hidden` is the width of the joining layer; `dropout` acts on the fused vector in training.
    """

    penultimate = "fused"

    def __init__(
        self,
        encoders: Mapping[str, Encoder],
        normalise: Mapping[str, Normalise],
        classes: int,
        *,
        hidden: int,
        dropout: float,
    ) -> None:
        dims = {modality: encoder.dim for modality, encoder in encoders.items()}
        missing = {modality: 0.02 * torch.randn(dim) for modality, dim in dims.items()}
        shapes = {modality: (dim,) for modality, dim in dims.items()}
        super().__init__(encoders, normalise, shapes, missing)
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(self.add_layers(dims, hidden), classes)

    @abstractmethod
    def add_layers(self, dims: dict[str, int], hidden: int) -> int:
        """Make the joining layers for vectors of these sizes; return the size of "fused"."""

    def concatenate(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Put the vectors of all modalities side by side: (B, sum of their D)."""
        return torch.cat([embeddings[modality] for modality in self.modalities], dim=1)


class Mid(Fusion):
    """Concatenation, one hidden layer, head: the paper's."""

    def add_layers(self, dims: dict[str, int], hidden: int) -> int:
        """Make the hidden layer."""
        self.hidden = hidden_layer(sum(dims.values()), hidden)
        return hidden

    def fuse(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Return the hidden layer's output, (B, hidden)."""
        fused: Tensor = self.dropout(self.hidden(self.concatenate(embeddings)))
        return fused


class Sum(Fusion):
    """A hidden layer for each modality, their outputs added."""

    def add_layers(self, dims: dict[str, int], hidden: int) -> int:
        """Make a hidden layer for each modality."""
        self.hidden = nn.ModuleDict(
            {modality: hidden_layer(dim, hidden) for modality, dim in dims.items()}
        )
        return hidden

    def fuse(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Return the sum of the hidden layers' outputs, (B, hidden)."""
        parts = [layer(embeddings[modality]) for modality, layer in self.hidden.items()]
        fused: Tensor = self.dropout(torch.stack(parts).sum(dim=0))
        return fused


class Gated(Sum):
    """As `Sum`, but weighted by a gate for each hidden unit that both modalities set.

    fused = z * h_A + (1 - z) * h_V, z = sigmoid(W [x_A; x_V]): the gated multimodal unit of Arevalo
    et al. 2017, with the hidden layer's norm and ReLU instead of tanh.
    """

    def add_layers(self, dims: dict[str, int], hidden: int) -> int:
        """Make the hidden layers and the gate."""
        self.gate = nn.Linear(sum(dims.values()), hidden)
        return super().add_layers(dims, hidden)

    def fuse(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Return the gated sum of the hidden layers' outputs, (B, hidden)."""
        audio, video = (layer(embeddings[modality]) for modality, layer in self.hidden.items())
        gate = torch.sigmoid(self.gate(self.concatenate(embeddings)))
        fused: Tensor = self.dropout(gate * audio + (1.0 - gate) * video)
        return fused


class Late(Fusion):
    """The logits of one linear head a modality, added.

    That is one linear head on the concatenated vectors, and so it is built: "fused" is the
    concatenation, and `hidden` is not used.
    """

    def add_layers(self, dims: dict[str, int], hidden: int) -> int:
        """Need no layer."""
        return sum(dims.values())

    def fuse(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Return the concatenated vectors, (B, D_A + D_V)."""
        fused: Tensor = self.dropout(self.concatenate(embeddings))
        return fused


class Early(Model):
    """One video encoder that reads the spectrogram as a fourth channel of the picture.

    The log-mel (T, F) is cut into as many slices of time as there are frames, each scaled to the
    picture's size. `encode` returns these maps, (B, channels, T, H, W); `embed` only "fused", since
    no vector of one modality exists.
    """

    penultimate = "fused"

    def __init__(
        self,
        encoder: Encoder,
        normalise: Mapping[str, Normalise],
        classes: int,
        *,
        grid: tuple[int, int, int],
        dropout: float,
    ) -> None:
        super().__init__(
            {"fused": encoder},
            normalise,
            {"audio": (1, *grid), "video": (3, *grid)},
            {"audio": torch.zeros(1, 1, 1, 1), "video": torch.zeros(3, 1, 1, 1)},
        )
        self.grid = grid
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(encoder.dim, classes)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Normalise, and give audio the shape of the video: (B, 1, T, H, W)."""
        x = self.normalise[modality](x)
        if modality == "video":
            return x
        frames, height, width = self.grid
        pictures = F.interpolate(
            x.unsqueeze(1), size=(frames * width, height), mode="bilinear", align_corners=False
        )
        return pictures.view(len(x), 1, frames, width, height).transpose(3, 4)

    def fuse(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Run the encoder over the stacked maps, (B, D)."""
        stacked = torch.cat([embeddings[modality] for modality in self.modalities], dim=1)
        fused: Tensor = self.dropout(self.encoders["fused"](stacked))
        return fused

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """Return {"fused": (B, D)}."""
        return {"fused": self.fuse(self.encode_all(batch))}
