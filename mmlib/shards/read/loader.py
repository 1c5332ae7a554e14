"""Batches from training shards: random access, and seeded epochs that depend on nothing else."""

import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmlib.batch import ALONE, LabelledBatch, Place, Rows, pin
from mmlib.runtime import shares
from mmlib.runtime.ahead import ahead
from mmlib.runtime.arrays import Array, Bytes, Indices
from mmlib.runtime.errors import UserError
from mmlib.shards.read import jpeg
from mmlib.shards.read.format import (
    PAYLOADS,
    WAVEFORM,
    ShardReader,
    check_layout,
)
from mmlib.shards.read.manifest import (
    MANIFEST_NAME,
    ids_hash,
    read_manifest,
)
from mmlib.threats import MODALITIES

__all__ = ["ShardSet", "read_manifest"]

# Row groups are shuffled, then clips within as many row groups as this: most of a small data set,
# some hundred clips of a large one.
_SHUFFLE_BYTES = 256 << 20
_BATCHES_AHEAD = 2


class ShardSet:
    """The clips of one split, in stored order.

    `labels` is (N, K) uint8, `present` modality -> (N,) bool, `input_shapes` modality -> shape of
    one clip in a batch; with `waveform`, `gather` gives sound as `waveforms` does, with `pixels`
    pictures as they are stored, for `batch.to_device` to make floats of. The arrays stay in memory
    when the split is smaller than this process's part of MMLIB_CACHE_GB (default 4), which those of
    a machine share; a larger one is read row group by row group. Raises UserError when the split or
    a shard is missing, damaged, or does not fit the manifest.
    """

    def __init__(
        self, root: Path, split: str, *, waveform: bool = False, pixels: bool = False
    ) -> None:
        manifest = read_manifest(root)
        if split not in manifest["clips"]:
            raise UserError(f"{root}: no split {split!r}, only {', '.join(manifest['clips'])}")
        self.split, self.waveform, self.pixels = split, waveform, pixels
        self._hears = split in manifest.get("waveforms", ["eval"])
        self.classes: list[str] = manifest["classes"]
        self.task: str = manifest["task"]
        known = manifest["clips"][split]
        if not known["files"]:
            raise UserError(f"{root}: the split {split} has no clips; give it some")
        self._readers = [ShardReader(root / name) for name in known["files"]]
        for reader in self._readers:
            check_layout(reader, split, manifest)
        indices = [reader.index() for reader in self._readers]
        self.clip_ids = [clip_id for index in indices for clip_id in index.clip_ids]
        self.source_ids = [source_id for index in indices for source_id in index.source_ids]
        if len(self.clip_ids) != known["count"] or ids_hash(self.clip_ids) != known["sha256"]:
            raise UserError(
                f"{root}: the shards of {split} hold other clips than {MANIFEST_NAME} says; run "
                "`dvc repro -f shard`"
            )
        self.labels = np.concatenate([index.labels for index in indices])
        self.present = {
            name: np.concatenate([index.present[name] for index in indices]) for name in MODALITIES
        }
        layout = self._readers[0].layout
        frames, height, width, channels = layout.frames.shape
        self.input_shapes: dict[str, tuple[int, ...]] = {
            "audio": layout.log_mel.shape,
            "video": (channels, frames, height, width),
        }
        self._groups = [
            (reader, group) for reader in self._readers for group in range(len(reader.sizes))
        ]
        sizes = [size for reader in self._readers for size in reader.sizes]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
        clip_bytes = layout.log_mel.bytes + layout.frames.bytes
        self._resident = clip_bytes * len(self) <= _cache_bytes()
        self._block = max(1, _SHUFFLE_BYTES // (clip_bytes * max([1, *sizes])))
        self._whole: dict[str, Array] = {}
        # Both modalities of a block, and of the next one's first batch.
        self._read = lru_cache(maxsize=2 * (self._block + 4))(self._read_group)
        # Undecoded, so that each process decodes its own clips alone.
        self._pictures = lru_cache(maxsize=self._block + 4)(self._read_pictures)

    def __len__(self) -> int:
        return len(self.clip_ids)

    def gather(self, indices: Indices, modalities: tuple[str, ...] = MODALITIES) -> LabelledBatch:
        """The clips at the indices, in their order, repeats allowed, as float32 in [0, 1].

        Video is (B, 3, T, H, W) over memory in the order B, T, H, W, 3 (channels_last_3d), uint8
        where the set gives `pixels`. The presence mask of a modality is there whenever any clip of
        the split lacks it.
        """
        inputs: dict[str, Tensor] = {}
        for name in modalities:
            inputs[name] = self._tensor(name, indices)
            if not self.present[name].all():
                inputs[f"{name}_present"] = torch.from_numpy(self.present[name][indices])
        labels = torch.from_numpy(self.labels[indices]).float()
        return LabelledBatch(tuple(self.clip_ids[index] for index in indices), inputs, labels)

    def _tensor(self, name: str, indices: Indices) -> Tensor:
        if name == "audio" and self.waveform:
            return self.waveforms(indices)
        rows = torch.from_numpy(self._rows(PAYLOADS[name], indices))
        if name == "audio":
            return rows.float()
        return (rows if self.pixels else rows / 255.0).permute(0, 4, 1, 2, 3)

    def waveforms(self, indices: Indices) -> Tensor:
        """The clips' sound, (B, N) float32 in [-1, 1); zeros where absent.

        UserError where the shards hold none of this split.
        """
        if not self._hears:
            raise UserError(
                f"the shards hold no waveforms of the split {self.split}: set shard.waveforms to "
                "all and run `dvc repro`"
            )
        return torch.from_numpy(self._rows(WAVEFORM, indices)).float() / 32768.0

    def batches(
        self,
        batch_size: int,
        modalities: tuple[str, ...] = MODALITIES,
        *,
        seed: int | None = None,
        epoch: int = 0,
        place: Place = ALONE,
    ) -> Iterator[LabelledBatch]:
        """Yield every clip once; the last batch may be smaller.

        In stored order without a seed; else as `shuffled`. Of several processes each reads its own
        rows of every batch, no others.
        """
        order = np.arange(len(self)) if seed is None else self.shuffled(seed, epoch)
        whole = (order[start : start + batch_size] for start in range(0, len(order), batch_size))
        return self.read((chunk[Rows.of(len(chunk), place).slice] for chunk in whole), modalities)

    def read(
        self,
        batches: Iterable[Indices],
        modalities: tuple[str, ...] = MODALITIES,
        *,
        pinned: bool = False,
    ) -> Iterator[LabelledBatch]:
        """Yield the clips of one batch after another, given their places, as `gather` does.

        The next batches are read and decoded while one is in use. `pinned`: in page-locked memory,
        from which a GPU copies without anyone waiting.
        """

        def gathered(indices: Indices) -> LabelledBatch:
            batch = self.gather(indices, modalities)
            return pin(batch) if pinned else batch

        return ahead(gathered, batches, 0 if self._resident and not pinned else _BATCHES_AHEAD)

    def shuffled(self, seed: int, epoch: int) -> Indices:
        """All places in an order that follows from (seed, epoch) alone, near in it near on disk."""
        rng = np.random.default_rng([seed, epoch])
        groups = rng.permutation(len(self._groups))
        order = [np.empty(0, np.intp)]
        for first in range(0, len(groups), self._block):
            block = groups[first : first + self._block]
            rows = [np.arange(self._starts[group], self._starts[group + 1]) for group in block]
            order.append(rng.permutation(np.concatenate(rows)))
        return np.concatenate(order)

    def _rows(self, column: str, indices: Indices) -> Array:
        indices = np.asarray(indices, np.intp)
        if self._resident and column != WAVEFORM:
            if column not in self._whole:
                self._whole[column] = self._load(column, np.arange(len(self)))
            return self._whole[column][indices]
        return self._load(column, indices)

    def _load(self, column: str, indices: Indices) -> Array:
        layout = self._readers[0].layout
        if column == PAYLOADS["video"] and layout.jpeg_quality is not None:
            return self._decoded(indices, layout.frames.shape)
        groups = np.searchsorted(self._starts, indices, "right") - 1
        if column == WAVEFORM:
            rows = np.empty((len(indices), layout.clip_samples), np.int16)
        else:
            payload = getattr(layout, column)
            rows = np.empty((len(indices), *payload.shape), payload.dtype)
        read = self._read_group if self._resident else self._read
        for group in np.unique(groups):
            places = np.flatnonzero(groups == group)
            rows[places] = read(int(group), column)[indices[places] - self._starts[group]]
        return rows

    def _decoded(self, indices: Indices, shape: tuple[int, ...]) -> Bytes:
        """Frames that are stored as JPEG: of the clips that are asked for alone, each once."""
        wanted, place = np.unique(indices, return_inverse=True)
        alone = len(wanted) == len(indices)
        chosen = indices if alone else wanted
        groups = np.searchsorted(self._starts, chosen, "right") - 1
        held = {group: self._pictures(group) for group in np.unique(groups).tolist()}
        clips = [
            held[group][index - self._starts[group]]
            for group, index in zip(groups.tolist(), chosen.tolist(), strict=True)
        ]
        frames = np.empty((len(clips), *shape), np.uint8)
        jpeg.decode_into(frames, clips)
        return frames if alone else frames[place]

    def _read_group(self, group: int, column: str) -> Array:
        reader, number = self._groups[group]
        return reader.read(number, column)

    def _read_pictures(self, group: int) -> list[jpeg.Pictures]:
        reader, number = self._groups[group]
        return reader.pictures(number)


def _cache_bytes() -> float:
    text = os.environ.get("MMLIB_CACHE_GB") or "4"
    try:
        size = float(text)
    except ValueError:
        size = -1.0
    if not size >= 0:
        raise UserError(f"MMLIB_CACHE_GB is {text!r}: give a number of gigabytes, 0 or more")
    # Of the processes on a machine each keeps its own.
    return size * 1e9 / shares.processes_here()
