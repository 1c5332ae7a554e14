"""A model for a search without gradients that changes one modality of a clip at a time."""

import torch
from torch import Tensor

from mmlib.batch import Batch, Forward
from mmlib.models.base import Model


def recalling(model: Model) -> Forward:
    """The model's logits, encoding only what it has not just encoded; no gradients.

    Of each clip and modality it keeps two inputs with their embeddings: the one that came back
    last, and the newest one. A random search comes back to its best point until a proposal beats
    it, so that a proposal on one modality costs one pass of that encoder alone. Logits equal the
    model's to the rounding of another batch size. The clips must keep their places; another
    number of them begins anew.
    """
    memories = {name: _Memory(model, name) for name in model.modalities}

    @torch.no_grad()
    def forward(batch: Batch) -> Tensor:
        return model.classify({name: memory.encode(batch) for name, memory in memories.items()})

    return forward


class _Memory:
    """Two inputs of every clip, and what one encoder makes of them: (B, ...) each.

    A user's model that does not split passes its inputs on, of any shape, in place of embeddings.
    """

    def __init__(self, model: Model, modality: str) -> None:
        self.model, self.modality = model, modality
        self.inputs: list[Tensor] = []
        self.encoded: list[Tensor] = []

    def encode(self, batch: Batch) -> Tensor:
        """What the encoder makes of the batch, (B, ...)."""
        now = batch[self.modality]
        if not self.inputs or now.shape != self.inputs[0].shape:
            self.inputs = [now.clone(), now.clone()]
            self.encoded = [self.model.encode_one(self.modality, batch)] * 2
            return self.encoded[0]
        base, newest = ((now == known).flatten(1).all(1) for known in self.inputs)
        self._keep(0, ~base & newest, self.inputs[1], self.encoded[1])
        new = torch.nonzero(~base & ~newest)[:, 0]
        if len(new):
            cut = {name: value[new] for name, value in batch.items()}
            made = self.encoded[1].index_copy(0, new, self.model.encode_one(self.modality, cut))
            self._keep(1, ~base & ~newest, now, made)
        return _chosen(base | newest, self.encoded[0], self.encoded[1])

    def _keep(self, place: int, chosen: Tensor, inputs: Tensor, encoded: Tensor) -> None:
        self.inputs[place] = _chosen(chosen, inputs, self.inputs[place])
        self.encoded[place] = _chosen(chosen, encoded, self.encoded[place])


def _chosen(clips: Tensor, these: Tensor, others: Tensor) -> Tensor:
    return torch.where(clips.view(-1, *[1] * (these.dim() - 1)), these, others)
