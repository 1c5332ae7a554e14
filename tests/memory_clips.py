"""A split of clips held in memory: what training and evaluation need of a ShardSet."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from mmlib.batch import LabelledBatch
from mmlib.runtime.arrays import Bytes, Indices
from mmlib.runtime.seeds import derive

MODALITIES = ("audio", "video")


class MemoryClips:
    """Clips of `classes` classes that light up a band of sound and a row of the picture each."""

    def __init__(
        self, count: int, classes: int = 5, *, task: str = "multi_label", seed: int = 0
    ) -> None:
        generator = torch.Generator().manual_seed(derive(seed, "clips"))
        self.task = task
        self.classes = [f"class {index}" for index in range(classes)]
        self.clip_ids = [f"clip-{seed}-{index:03d}" for index in range(count)]
        names = torch.randint(classes, (count,), generator=generator)
        hot = torch.nn.functional.one_hot(names, classes)
        if task == "multi_label":
            hot |= (torch.rand(count, classes, generator=generator) < 0.2).long()
        self.labels: Bytes = hot.numpy().astype(np.uint8)
        audio = 0.5 * torch.rand(count, 36, 32, generator=generator)
        video = 0.5 * torch.rand(count, 4, 16, 16, 3, generator=generator)
        for index in range(classes):
            lit = hot[:, index].bool()
            audio[lit, :, 6 * index : 6 * index + 4] += 0.4
            video[lit, :, 3 * index : 3 * index + 2] += 0.4
        self.inputs = {"audio": audio, "video": video.permute(0, 4, 1, 2, 3)}

    def __len__(self) -> int:
        return len(self.clip_ids)

    def gather(self, indices: Indices, modalities: tuple[str, ...] = MODALITIES) -> LabelledBatch:
        """The clips at the indices, in their order."""
        return LabelledBatch(
            tuple(self.clip_ids[index] for index in indices),
            {name: self.inputs[name][torch.from_numpy(indices)] for name in modalities},
            torch.from_numpy(self.labels[indices]).float(),
        )

    def shuffled(
        self, batch_size: int, modalities: tuple[str, ...] = MODALITIES
    ) -> Callable[[int], Iterator[LabelledBatch]]:
        """A batch source: epoch -> batches in a seeded order."""

        def batches(epoch: int) -> Iterator[LabelledBatch]:
            order = np.random.default_rng([7, epoch]).permutation(len(self))
            for start in range(0, len(order), batch_size):
                yield self.gather(order[start : start + batch_size], modalities)

        return batches
