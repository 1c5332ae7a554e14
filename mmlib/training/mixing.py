"""Clips mixed in pairs (Zhang et al. 2018, "mixup"), each modality by a lambda of its own."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.batch import Batch, LabelledBatch, present, to_device
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


class Paired(NamedTuple):
    """Clips of which some are to be mixed, `places` (M,), each with one of the last M of `batch`.

    `lambdas` (M,) in [0, 1] is what remains of each.
    """

    batch: LabelledBatch
    places: Tensor
    lambdas: Tensor


Drawn = LabelledBatch | Paired


def learnt_from(drawn: Drawn) -> int:
    """How many clips training learns from: partners are not counted."""
    if isinstance(drawn, Paired):
        return len(drawn.batch.clip_ids) - len(drawn.places)
    return len(drawn.clip_ids)


def on_device(drawn: Drawn, device: torch.device) -> LabelledBatch:
    """Move a batch to the device, and there mix the clips that are to be mixed.

    One lambda for all modalities of a clip.
    """
    batch = drawn.batch if isinstance(drawn, Paired) else drawn
    moved = LabelledBatch(
        batch.clip_ids, to_device(batch.inputs, device), batch.labels.to(device, non_blocking=True)
    )
    if not isinstance(drawn, Paired):
        return moved
    count, places = learnt_from(drawn), drawn.places
    own, second = rows_of(moved, slice(count)), rows_of(moved, slice(count, None))
    if not len(places):
        return own
    first = LabelledBatch(
        tuple(batch.clip_ids[place] for place in places.tolist()),
        {name: tensor[places] for name, tensor in own.inputs.items()},
        own.labels[places],
    )
    modalities = [name for name in MODALITIES if name in own.inputs]
    found = mix(first, second, dict.fromkeys(modalities, drawn.lambdas))
    inputs = {name: _put(tensor, places, found.inputs[name]) for name, tensor in own.inputs.items()}
    return LabelledBatch(own.clip_ids, inputs, _put(own.labels, places, found.labels))


def _put(tensor: Tensor, places: Tensor, values: Tensor) -> Tensor:
    changed = tensor.clone()
    changed[places] = values
    return changed


def rows_of(batch: LabelledBatch, rows: slice) -> LabelledBatch:
    """Some rows of a batch, which share its memory."""
    inputs = {name: tensor[rows] for name, tensor in batch.inputs.items()}
    return LabelledBatch(batch.clip_ids[rows], inputs, batch.labels[rows])
