"""Clips mixed in pairs (Zhang et al. 2018, "mixup"), each modality by a lambda of its own."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mmlib.batch import Batch, LabelledBatch, present
from mmlib.threats import MODALITIES


def mix(
    first: LabelledBatch, second: LabelledBatch, lambdas: Mapping[str, Tensor]
) -> LabelledBatch:
    """Mix two batches clip by clip: x_m = lambda_m x1_m + (1 - lambda_m) x2_m.

    Labels: y = sum_m w_m (lambda_m y1 + (1 - lambda_m) y2), w_m = 1 / modalities. A modality that
    one clip lacks is taken whole from the clip that has it (lambda 1 for that clip, in the label
    too), never mixed with zeros; one that both lack stays missing and has no part in the label.
    `lambdas`: modality -> (B,) in [0, 1]. [choice; docs/retraining.md]
    """
    inputs: Batch = {}
    device = first.labels.device
    weight = torch.zeros(len(first.clip_ids), device=device)
    share = torch.zeros_like(weight)
    for modality, drawn in lambdas.items():
        has_first, has_second = present(first.inputs, modality), present(second.inputs, modality)
        lam = torch.where(has_first & ~has_second, 1.0, drawn.to(device, torch.float32))
        lam = torch.where(has_second & ~has_first, 0.0, lam)
        one, two = first.inputs[modality], second.inputs[modality]
        inputs[modality] = torch.lerp(two, one, lam.view(-1, *[1] * (one.ndim - 1)))
        either = has_first | has_second
        inputs[f"{modality}_present"] = either
        weight += either
        share += either * lam
    plain = torch.stack(list(lambdas.values())).mean(0).to(device, torch.float32)
    anchor = torch.where(weight > 0, share / weight.clamp_min(1), plain)[:, None]
    labels = torch.lerp(second.labels, first.labels, anchor)
    ids = tuple(f"{a}+{b}" for a, b in zip(first.clip_ids, second.clip_ids, strict=True))
    return LabelledBatch(ids, inputs, labels)


def mix_partners(batch: LabelledBatch) -> LabelledBatch:
    """Mix the clips of a batch, floats, with the partners at its end, which it then has no more.

    One lambda for all modalities of a clip. Overwrites the clips that are mixed.
    """
    if batch.partners is None:
        return batch
    (places, lambdas), count = batch.partners, batch.clips
    own = rows_of(batch, slice(count))
    if len(places):
        second = rows_of(batch, slice(count, None))
        first = LabelledBatch(
            tuple(batch.clip_ids[place] for place in places.tolist()),
            {name: tensor[places] for name, tensor in own.inputs.items()},
            own.labels[places],
        )
        modalities = [name for name in MODALITIES if name in own.inputs]
        found = mix(first, second, dict.fromkeys(modalities, lambdas))
        own.labels[places] = found.labels
        for name, tensor in own.inputs.items():
            tensor[places] = found.inputs[name]
    return own


def rows_of(batch: LabelledBatch, rows: slice) -> LabelledBatch:
    """Some rows of a batch, which share its memory."""
    inputs = {name: tensor[rows] for name, tensor in batch.inputs.items()}
    return LabelledBatch(batch.clip_ids[rows], inputs, batch.labels[rows])
