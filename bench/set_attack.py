"""A yardstick for the headline attack, sharing no code with it: PGD on a set's smooth AP.

All clips move at every step, on the exact gradient of one number: the mean over classes of the
average precision of the whole set, with sigmoids in place of comparisons (Brown et al. 2020). The
gradient with respect to all logits comes from one backward pass through the (N, N) comparisons of
each class; the chunks of clips then carry it through the model. Each step is a sign step with
momentum; from a random start; the set whose mAP, counted exactly, is lowest over all steps and
restarts is what is returned.
"""

from collections.abc import Callable

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from mmlib.batch import Batch, LabelledBatch

Model = Callable[[Batch], Tensor]


def set_attack(
    model: Model,
    clips: list[LabelledBatch],
    names: tuple[str, ...],
    eps: float,
    *,
    steps: int = 200,
    restarts: int = 5,
    temperature: float = 0.1,
) -> tuple[float, list[Batch]]:
    """The lowest mAP that was met, and the inputs that gave it; `eps` in l-infinity."""
    labels = torch.cat([chunk.labels for chunk in clips]) > 0.5
    best: tuple[float, list[Batch]] = (float("inf"), [])
    for restart in range(restarts):
        generator = torch.Generator().manual_seed(restart)
        points = [_random(chunk, names, eps, generator) for chunk in clips]
        running = [{name: torch.zeros_like(p[name]) for name in names} for p in points]
        for step in range(steps + 1):
            graphs = [_forward(model, chunk, p) for chunk, p in zip(clips, points, strict=True)]
            logits = torch.cat([out.detach() for _, out in graphs])
            found = mean_ap(labels, logits)
            if found < best[0]:
                best = found, [dict(p) for p in points]
            if step == steps:
                break
            # Wide comparisons first, narrow ones at the end.
            width = temperature * 10 ** (0.5 - 1.2 * step / steps)
            parts = torch.split(_gradient(logits, labels, width), [len(c.labels) for c in clips])
            length = eps * max(0.02, 0.5 * (1 - step / steps))
            for place, (leaves, out) in enumerate(graphs):
                found_here = torch.autograd.grad(out, list(leaves.values()), parts[place])
                for name, gradient in zip(names, found_here, strict=True):
                    scale = gradient.flatten(1).abs().mean(1).clamp_min(1e-30)
                    shape = (-1, *[1] * (gradient.ndim - 1))
                    running[place][name] = 0.75 * running[place][name] + gradient / scale.view(
                        shape
                    )
                    moved = points[place][name] - length * running[place][name].sign()
                    points[place][name] = _within(moved, clips[place].inputs[name], eps)
    return best


def mean_ap(labels: Tensor, logits: Tensor) -> float:
    """Mean average precision over the classes that some clips have and some have not."""
    counted = labels.any(0) & ~labels.all(0)
    scores = logits.double().numpy()[:, counted]
    return float(np.mean(average_precision_score(labels[:, counted].numpy(), scores, average=None)))


def _gradient(logits: Tensor, labels: Tensor, width: float) -> Tensor:
    """Of the set's smooth mAP, (N, K)."""
    leaf = logits.double().requires_grad_()
    precisions = []
    for column, truth in zip(leaf.T, labels.T, strict=True):
        if truth.any() and not truth.all():
            gaps = (column[None, :] - column[truth][:, None]) / (width * column.detach().std())
            above = torch.sigmoid(gaps)
            # A positive ranks at 1 + all that stand above it; itself counts as a half.
            rank = 0.5 + above.sum(1)
            precisions.append(((0.5 + above[:, truth].sum(1)) / rank).mean())
    (gradient,) = torch.autograd.grad(torch.stack(precisions).mean(), leaf)
    return gradient.float()


def _random(chunk: LabelledBatch, names: tuple[str, ...], eps: float, g: torch.Generator) -> Batch:
    return {
        name: _within(
            chunk.inputs[name] + eps * (2 * torch.rand(chunk.inputs[name].shape, generator=g) - 1),
            chunk.inputs[name],
            eps,
        )
        for name in names
    }


def _within(moved: Tensor, clean: Tensor, eps: float) -> Tensor:
    return torch.minimum(torch.maximum(moved, clean - eps), clean + eps).clamp(0, 1)


def _forward(model: Model, chunk: LabelledBatch, points: Batch) -> tuple[Batch, Tensor]:
    leaves = {name: point.clone().requires_grad_() for name, point in points.items()}
    return leaves, model({**chunk.inputs, **leaves})
