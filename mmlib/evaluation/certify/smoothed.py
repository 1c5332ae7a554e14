"""A run asked about noisy copies of a clip: counted draw by draw, and as attacks can climb it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from mmlib.attacks.methods.decisions import Margins
from mmlib.batch import Batch, Forward
from mmlib.runtime.seeds import derive

BLOCK = 32
"""Draws of a clip that are made and asked about at once.

Always so many, whatever `attack.batch_size`: a share of draws must not depend on how they were
batched, and a net's last bit may.
"""


@dataclass(frozen=True)
class Smoothing:
    """Gaussian noise on some modalities: modality -> sigma; each clip's draws follow from `seed`.

    They depend on the clip, on what they are for and on the modality, and on nothing else: two runs
    under one sigma, and threats A and AV, meet the same noise. Noisy clips are not cut to the box.
    """

    sigma: Mapping[str, float]
    seed: int

    def draws(
        self, clip_id: str, purpose: str, block: int, shapes: Mapping[str, Sequence[int]]
    ) -> dict[str, Tensor]:
        """One block of noise: modality -> (BLOCK, ...), float32 on the CPU."""
        found = {}
        for name, sigma in self.sigma.items():
            seed = derive(self.seed, "certify", clip_id, purpose, block, name)
            generator = torch.Generator().manual_seed(seed)
            found[name] = sigma * torch.randn(BLOCK, *shapes[name], generator=generator)
        return found

    def logits(
        self, model: Forward, clip: Batch, clip_id: str, purpose: str, draws: int
    ) -> Iterator[Tensor]:
        """The logits of so many noisy copies of one clip, in parts of (at most BLOCK, K).

        `clip` has one row of each tensor. Without gradients.
        """
        shapes = {name: clip[name].shape[1:] for name in self.sigma}
        for first in range(0, draws, BLOCK):
            noise = self.draws(clip_id, purpose, first // BLOCK, shapes)
            copies = {name: t.expand(BLOCK, *t.shape[1:]) for name, t in clip.items()}
            copies |= {name: copies[name] + part.to(clip[name]) for name, part in noise.items()}
            with torch.no_grad():
                yield model(copies)[: draws - first]

    def shown(
        self,
        model: Forward,
        clip: Batch,
        clip_id: str,
        margins: Margins,
        purpose: str,
        draws: int,
    ) -> Tensor:
        """In how many of the draws each class is shown, (K,) on the CPU."""
        counts = [
            (margins(logits) > 0).sum(0)
            for logits in self.logits(model, clip, clip_id, purpose, draws)
        ]
        return torch.stack(counts).sum(0).cpu()

    def carried(self, batch: Batch, clip_ids: Sequence[str], draws: int) -> Batch:
        """The batch with noise for `Expected`: `<modality>_noise`, (B, draws, ...)."""
        shapes = {name: batch[name].shape[1:] for name in self.sigma}
        blocks = range(-(-draws // BLOCK))
        carried = dict(batch)
        for name in self.sigma:
            noise = [
                torch.cat([self.draws(clip, "attack", k, shapes)[name] for k in blocks])[:draws]
                for clip in clip_ids
            ]
            carried[f"{name}_noise"] = torch.stack(noise).to(batch[name])
        return carried


@dataclass(frozen=True)
class Expected:
    """The smoothed classifier with a gradient: log odds (B, K) that a class is shown under noise.

    A decision under one draw is a step, which has no gradient; the sigmoid of its margin stands for
    it, averaged over the noise that the batch carries (`Smoothing.carried`), as in SmoothAdv
    (Salman et al. 2019). Above 0: shown in more than half. Classes that are never decided have 0.
    """

    model: Forward
    margins: Margins
    modalities: Sequence[str]
    draws: int

    def __call__(self, batch: Batch) -> Tensor:
        """Ask about every clip under its own draws, the same at each step of an attack."""
        copies = {
            name: tensor.repeat_interleave(self.draws, 0)
            for name, tensor in batch.items()
            if not name.endswith("_noise")
        }
        for name in self.modalities:
            copies[name] = copies[name] + batch[f"{name}_noise"].flatten(0, 1)
        margins = self.margins(self.model(copies)).nan_to_num(nan=0.0)
        margins = margins.reshape(-1, self.draws, margins.shape[1])
        return logsigmoid(margins).logsumexp(1) - logsigmoid(-margins).logsumexp(1)
