"""Models whose optimal attack is known, and batches for them."""

import copy

import numpy as np
import torch
from scipy.optimize import linprog, minimize_scalar
from torch import Tensor

from mmlib.attacks.core.threat import Budget
from mmlib.batch import Batch, Forward
from mmlib.runtime.arrays import Reals

CLIPS = 5
Values = Reals


def batch(seed: int = 0, clips: int = CLIPS) -> Batch:
    """Clips in the box: many elements at its edges, as silence and black are."""
    generator = torch.Generator().manual_seed(seed)
    audio = torch.rand(clips, 6, 4, generator=generator) * 1.6 - 0.3
    video = torch.rand(clips, 2, 4, 4, 3, generator=generator) * 1.6 - 0.3
    return {"audio": audio.clamp(0, 1), "video": video.clamp(0, 1).permute(0, 4, 1, 2, 3)}


class Linear:
    """One logit, linear in both modalities; `scale` shrinks its gradient."""

    def __init__(self, seed: int = 1, scale: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.weights = {
            "audio": scale * torch.randn(6, 4, generator=generator),
            "video": scale * torch.randn(3, 2, 4, 4, generator=generator),
        }

    def __call__(self, inputs: Batch) -> Tensor:
        parts = [
            (inputs[name] * weight).flatten(1).sum(1, keepdim=True)
            for name, weight in self.weights.items()
        ]
        return torch.stack(parts).sum(0)


def first_logit(logits: Tensor, labels: Tensor) -> Tensor:
    """The loss under which a linear model is a linear programme."""
    return logits[:, 0]


class Net(torch.nn.Module):
    """A small smooth two-branch classifier with random weights."""

    def __init__(self, classes: int = 4, seed: int = 2) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.audio = torch.nn.Linear(24, 8)
            self.video = torch.nn.Linear(96, 8)
            self.head = torch.nn.Linear(16, classes)

    def forward(self, inputs: Batch) -> Tensor:
        audio = self.audio(4 * inputs["audio"].flatten(1) - 2)
        video = self.video(4 * inputs["video"].flatten(1) - 2)
        logits: Tensor = 4 * self.head(torch.tanh(torch.cat([audio, video], 1)))
        return logits


def exact(net: torch.nn.Module) -> Forward:
    """The net with logits in float64: what a batch of another size rounds otherwise is no step.

    In float32, matrix products and vectorised functions round by the batch's size and the machine,
    and a path that a sign or an edge of the box decides turns that into whole steps.
    """
    doubled = copy.deepcopy(net).double()

    def forward(inputs: Batch) -> Tensor:
        logits: Tensor = doubled({name: tensor.double() for name, tensor in inputs.items()})
        return logits

    return forward


def labels(clips: int = CLIPS, classes: int = 4, seed: int = 3) -> Tensor:
    """Multi-hot labels with at least one present and one absent class."""
    generator = torch.Generator().manual_seed(seed)
    hot = torch.rand(clips, classes, generator=generator) < 0.4
    hot[:, 0], hot[:, 1] = True, False
    return hot.float()


def optimum(weight: Values, clean: Values, budget: Budget, eps: float) -> float:
    """The largest weight · delta over ball and box, by another method than the attacks use."""
    weight = weight.astype(np.float64).ravel()
    low = budget.low - clean.astype(np.float64).ravel()
    high = budget.high - clean.astype(np.float64).ravel()
    if budget.norm == "linf":
        return float(
            np.maximum(weight * np.clip(low, -eps, 0), weight * np.clip(high, 0, eps)).sum()
        )
    if budget.norm == "l1":
        ones = np.ones((1, 2 * weight.size))
        bounds = [(0, h) for h in high] + [(0, -v) for v in low]
        solved = linprog(np.r_[-weight, weight], A_ub=ones, b_ub=[eps], bounds=bounds)
        return float(-solved.fun)

    def dual(log_mu: float) -> float:
        mu = np.exp(log_mu)
        delta = np.clip(weight / (2 * mu), low, high)
        return float(weight @ delta - mu * (delta @ delta - eps * eps))

    return float(
        minimize_scalar(dual, bounds=(-40, 12), method="bounded", options={"xatol": 1e-10}).fun
    )
