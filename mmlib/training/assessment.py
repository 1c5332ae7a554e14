"""What an epoch is judged by: losses on val and on as much of train, and the mAP on val."""

from typing import NamedTuple

import torch

from mmlib.batch import Clips
from mmlib.metrics import ranking
from mmlib.models.base import Model
from mmlib.models.predict import predict_heads
from mmlib.runtime.arrays import Floats, Indices
from mmlib.runtime.seeds import derive, drawn
from mmlib.training.gblend import ClipLosses
from mmlib.training.history import Row
from mmlib.training.objectives import clip_losses, task_loss

MOST_ASSESSED = 5000
"""Clips of val, and as many of train, that an epoch is assessed on. The standard error of a mean
loss over so many is 1.4 % of the deviation over clips. The 15 % that AudioSet's train list lends
to val would be hundreds of thousands, and the val split of a small train list larger than it
[choice]."""


class Samples(NamedTuple):
    """Train and val, and the places of their clips that every epoch is assessed on."""

    train: Clips
    of_train: Indices
    val: Clips
    of_val: Indices


def samples(train: Clips, val: Clips, seed: int) -> Samples:
    """Choose the clips: of val the same ones for every run, of train at most as many, by `seed`."""
    of_val = drawn(len(val), MOST_ASSESSED, derive(0, "sample of val"))
    of_train = drawn(len(train), len(of_val), derive(seed, "sample of train"))
    return Samples(train, of_train, val, of_val)


def assess(
    model: Model, chosen: Samples, *, batch_size: int, device: torch.device
) -> tuple[Row, ClipLosses]:
    """Measure a model in eval mode: a row of means, and each head's losses of single clips.

    The row has `train_loss`, `val_loss` (the predicting head's; `_T` for each head T where there
    are several) and `val_mAP`.
    """
    row: Row = {}
    by_clip: list[dict[str, Floats]] = []
    parts = ("train", chosen.train, chosen.of_train), ("val", chosen.val, chosen.of_val)
    for name, clips, indices in parts:
        labels, heads = predict_heads(
            model, clips, batch_size=batch_size, device=device, indices=indices
        )
        losses = {head: float(task_loss(clips.task, h, labels)) for head, h in heads.items()}
        row[f"{name}_loss"] = losses[model.main_head]
        if len(losses) > 1:
            row |= {f"{name}_loss_{head}": loss for head, loss in losses.items()}
        by_clip.append(
            {head: clip_losses(clips.task, h, labels).double().numpy() for head, h in heads.items()}
        )
    scores = heads[model.main_head].numpy()
    row["val_mAP"] = ranking.summary(labels.numpy(), scores, "multi_label")["mAP"]
    return row, ClipLosses(*by_clip)
