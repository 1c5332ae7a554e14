"""A linear model, whose smoothed decisions and certified radii have a closed form."""

import torch
from torch import Tensor

from mmlib.attacks.methods.decisions import ByThreshold
from mmlib.batch import Batch

SHAPES = {"audio": (6, 4), "video": (3, 2, 4, 4)}
CLASSES = 3
THRESHOLDS = ByThreshold(torch.zeros(CLASSES))


class Linear:
    """Logits that are linear in what it reads: under noise of sigma, p = Phi(margin / (sigma |w|)).

    Smoothing keeps its decisions, so that the exact radius of each is |margin| / |w|.
    """

    def __init__(self, seed: int, reads: tuple[str, ...] = ("audio", "video")) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.weights = {
            name: torch.randn(CLASSES, *SHAPES[name], generator=generator) for name in reads
        }

    def __call__(self, inputs: Batch) -> Tensor:
        parts = [
            (inputs[name] - 0.5).flatten(1) @ weight.flatten(1).T
            for name, weight in self.weights.items()
        ]
        return torch.stack(parts).sum(0)

    def reach(self, clips: Batch, sigma: dict[str, float]) -> Tensor:
        """The exact reach (B, K) of each decision, in multiples of sigma."""
        spread = [
            (sigma[name] * weight.flatten(1)).square().sum(1)
            for name, weight in self.weights.items()
            if name in sigma
        ]
        return self(clips).abs() / torch.stack(spread).sum(0).sqrt()


def clips(count: int, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: 0.4 + 0.2 * torch.rand(count, *shape, generator=generator)
        for name, shape in SHAPES.items()
    }


def one(batch: Batch, place: int) -> Batch:
    return {name: tensor[place : place + 1] for name, tensor in batch.items()}
