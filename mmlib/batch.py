"""The tensors that loaders yield, models read and attacks perturb."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch

from mmlib.runtime.arrays import Bytes, Indices

Batch = dict[str, torch.Tensor]
"""Modality name -> float32 tensor in [0, 1].

`audio` is (B, T, F): log-mel, (dB + 80) / 80. `video` is (B, 3, T, H, W): pixel / 255. Where the
waveform is attacked, `audio` is (B, N) in [-1, 1]. On its way from a shard to the device `video`
may be the pixels themselves, uint8, a quarter of the bytes: `to_device` makes floats of them.
Optional `audio_present` and `video_present`, (B,) bool, mark clips that lack a track; without the
key every clip has it.
"""

Forward = Callable[[Batch], torch.Tensor]
"""Any callable model, in eval mode: a batch -> logits (B, K). `models.base.Model` is a net."""


def is_waveform(audio: torch.Tensor) -> bool:
    """Tell sound as a waveform, (B, N), from log-mel, (B, T, F)."""
    return audio.ndim == 2


class Place(NamedTuple):
    """A process among those that train one model together: its rank, of how many."""

    rank: int
    size: int


ALONE = Place(0, 1)


class Rows(NamedTuple):
    """The rows start ... stop - 1 of a batch of `total` clips that several processes share."""

    start: int
    stop: int
    total: int

    @classmethod
    def of(cls, total: int, place: Place) -> "Rows":
        """Those of one process: as many as of any other, or one more."""
        rank, count = place
        return cls(total * rank // count, total * (rank + 1) // count, total)

    @property
    def slice(self) -> slice:
        """To take the rows of a list or a tensor of all."""
        return slice(self.start, self.stop)


class LabelledBatch(NamedTuple):
    """Clips with their labels: `labels` is (B, K) float32, multi-hot, one-hot or soft."""

    clip_ids: tuple[str, ...]
    inputs: Batch
    labels: torch.Tensor


class Clips(Protocol):
    """A split of labelled clips with random access; `shards.read.loader.ShardSet` is one.

    `labels` is (N, K) uint8, multi-hot or one-hot by `task`, in the order of `classes`.
    """

    @property
    def task(self) -> str: ...
    @property
    def classes(self) -> list[str]: ...
    @property
    def clip_ids(self) -> list[str]: ...
    @property
    def labels(self) -> Bytes: ...
    def __len__(self) -> int: ...
    def gather(self, indices: Indices, modalities: tuple[str, ...]) -> LabelledBatch: ...


def present(batch: Batch, modality: str) -> torch.Tensor:
    """Tell which clips of the batch have the modality: (B,) bool."""
    mask = batch.get(f"{modality}_present")
    if mask is not None:
        return mask
    tensor = batch[modality]
    return torch.ones(tensor.shape[0], dtype=torch.bool, device=tensor.device)


def to_device(batch: Batch, device: torch.device | str) -> Batch:
    """Move every tensor of the batch to the device, where pixels become floats in [0, 1].

    From pinned memory without waiting for the copy.
    """
    return {name: _floats(t.to(device, non_blocking=True)) for name, t in batch.items()}


def pin(batch: LabelledBatch) -> LabelledBatch:
    """The batch in page-locked memory, for `to_device` to a GPU."""
    inputs = {name: tensor.pin_memory() for name, tensor in batch.inputs.items()}
    return batch._replace(inputs=inputs, labels=batch.labels.pin_memory())


def _floats(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.dtype != torch.uint8:
        return tensor
    # By a tensor on the device: by a plain number, GPUs multiply with its reciprocal, which rounds
    # 126 of the 256 levels to other floats than CPUs do.
    return tensor / torch.full((), 255.0, device=tensor.device)
