"""What every model is: encoders, one penultimate vector, one linear head on it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from mmlib.batch import Batch
from mmlib.models import ranks
from mmlib.models.layers import Normalise
from mmlib.threats import SINGLE, threat_on


class Encoder(nn.Module):
    """A net from one normalised input to one vector of `dim` numbers a clip."""

    dim: int


class Model(nn.Module, ABC):
    """A classifier of clips: a dict of modality tensors in, logits out.

    Subclasses say in `fuse` how the encoders' outputs become the penultimate vector; `head`, one
    nn.Linear, turns that into logits. In eval mode the same clip gives the same logits whatever
    else is in the batch. A clip whose `<modality>_present` is False gets a learnt vector in place
    of that encoder's output, and its input is not read.
    """

    penultimate: str
    """The name under which `embed` returns the vector that `head` reads."""

    head: nn.Linear

    description: dict[str, Any]
    """What `build` was called with, as JSON values: a checkpoint keeps it."""

    foreign = False
    """Whether users wrote the net, so that nothing is known of its layers."""

    waveform = False
    """Whether sound is read as (B, N) in [-1, 1], not as the log-mel of the data."""

    def __init__(
        self,
        encoders: Mapping[str, Encoder],
        normalise: Mapping[str, Normalise],
        shapes: Mapping[str, tuple[int, ...]],
        missing: Mapping[str, Tensor],
    ) -> None:
        super().__init__()
        self.modalities = tuple(normalise)
        self.encoders = nn.ModuleDict(dict(encoders))
        self.normalise = nn.ModuleDict(dict(normalise))
        self.shapes = dict(shapes)
        self.missing = nn.ParameterDict({name: nn.Parameter(v) for name, v in missing.items()})
        self.auxiliary = nn.ModuleDict()

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Encode clips that have the modality.

        `x` is (B, T, F) for audio and (B, 3, T, H, W) for video, float in [0, 1]; returns (B, D).
        """
        encoded: Tensor = self.encoders[modality](self.normalise[modality](x))
        return encoded

    @abstractmethod
    def fuse(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Join the encoders' outputs into the penultimate vector, (B, D)."""

    def classify(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Turn the outputs of `encode`, one a modality, into logits (B, K)."""
        logits: Tensor = self.head(self.fuse(embeddings))
        return logits

    def encode_all(self, batch: Batch) -> dict[str, Tensor]:
        """Encode every modality of the batch, a learnt vector standing for each missing one."""
        return {modality: self.encode_one(modality, batch) for modality in self.modalities}

    def encode_one(self, modality: str, batch: Batch) -> Tensor:
        """Encode one modality of the batch, a learnt vector standing for each missing one."""
        x = batch[modality]
        mask = batch.get(f"{modality}_present")
        held = len(x) if mask is None else int(mask.sum())
        with ranks.some_rows(held, training=self.training) as anyone:
            if mask is None or held == len(x):
                return self.encode(modality, x)
            filled: Tensor = self.missing[modality].expand(x.shape[0], *self.shapes[modality])
            if not anyone:
                return filled
            # Only real inputs go through the encoder: batch norm must not average over filler.
            encoded = self.encode(modality, x[mask])
            return filled.to(encoded.dtype).index_put((mask,), encoded)

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """Return each encoder's vector and, for fusion, the penultimate one as "fused": (B, D)."""
        embeddings = self.encode_all(batch)
        return {**embeddings, self.penultimate: self.fuse(embeddings)}

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B, K)."""
        return self.classify(self.encode_all(batch))

    def outputs(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Return what `embed` does, and the logits (B, K), in one pass."""
        vectors = self.embed(batch)
        return vectors, self.head(vectors[self.penultimate])

    def stored(self) -> dict[str, Tensor]:
        """The tensors that a checkpoint keeps."""
        return self.state_dict()

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        return next(chain(self.parameters(), self.buffers())).device

    def heads(self, batch: Batch) -> dict[str, Tensor]:
        """Return the logits (B, K) of every head; the prediction is the last one.

        With auxiliary heads: "A", "V" and "AV"; else the one head, named after the modalities.
        """
        embeddings = self.encode_all(batch)
        heads = {name: head(embeddings[SINGLE[name]]) for name, head in self.auxiliary.items()}
        return {**heads, self.main_head: self.classify(embeddings)}

    @property
    def main_head(self) -> str:
        """The name of the head that predicts: "A", "V" or "AV"."""
        return threat_on(self.modalities)

    def begin_heads_at(self, logits: Tensor) -> None:
        """Set the biases of all heads to `logits`, (K,): what is predicted before training."""
        for head in (self.head, *self.auxiliary.values()):
            assert isinstance(head, nn.Linear)
            with torch.no_grad():
                head.bias.copy_(logits)

    def add_auxiliary_heads(self, classes: int) -> None:
        """Give each encoder a linear head of its own, as Gradient-Blending trains them."""
        for name, modality in SINGLE.items():
            (dim,) = self.shapes[modality]
            self.auxiliary[name] = nn.Linear(dim, classes)


class UniModal(Model):
    """One encoder, and its linear head."""

    def __init__(self, modality: str, encoder: Encoder, normalise: Normalise, classes: int) -> None:
        super().__init__(
            {modality: encoder},
            {modality: normalise},
            {modality: (encoder.dim,)},
            {modality: 0.02 * torch.randn(encoder.dim)},
        )
        self.penultimate = modality
        self.head = nn.Linear(encoder.dim, classes)

    def fuse(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Return the one encoder's vector."""
        return embeddings[self.penultimate]
