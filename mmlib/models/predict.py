"""Run a model over a split: logits and embeddings, in float32, in the stored order."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from mmlib.batch import Clips, LabelledBatch, to_device
from mmlib.models.base import Model
from mmlib.runtime.arrays import Floats32, Indices
from mmlib.runtime.errors import UserError


class Prediction(NamedTuple):
    """What a model says of some clips: labels and logits (N, K), vectors name -> (N, D)."""

    clip_ids: tuple[str, ...]
    labels: Floats32
    logits: Floats32
    vectors: dict[str, Floats32]


def predict(
    model: Model,
    clips: Clips,
    *,
    batch_size: int,
    device: torch.device,
    indices: Indices | None = None,
) -> Iterator[Prediction]:
    """Yield logits and embeddings of all clips, or of those at `indices`, a batch at a time.

    Afterwards the model is in eval mode.
    """
    model.eval()
    for batch in in_batches(clips, indices, batch_size, model.modalities):
        with torch.inference_mode():
            vectors, logits = model.outputs(to_device(batch.inputs, device))
        found = {name: vector.cpu().numpy() for name, vector in vectors.items()}
        part = Prediction(batch.clip_ids, batch.labels.numpy(), logits.cpu().numpy(), found)
        if model.foreign:
            _assert_finite(part)
        yield part


def _assert_finite(part: Prediction) -> None:
    """Refuse outputs of a net from elsewhere that no attack could rank."""
    for what, values in {"logits": part.logits, **part.vectors}.items():
        bad = np.flatnonzero(~np.isfinite(values).all(1))
        if len(bad):
            raise UserError(
                f"its {what if what == 'logits' else 'embed'} of the clip "
                f"{part.clip_ids[bad[0]]!r} and {len(bad) - 1} more are not finite: look for 0 / 0 "
                "or log(0) where a clip is silent or black, and add a small number there"
            )


def predict_heads(
    model: Model,
    clips: Clips,
    *,
    batch_size: int,
    device: torch.device,
    indices: Indices | None = None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return the labels (N, K) of the clips, or of those at `indices`, and each head's logits.

    Runs in eval mode and leaves the model in the mode it was in.
    """
    was_training = model.training
    model.eval()
    labels: list[torch.Tensor] = []
    logits: dict[str, list[torch.Tensor]] = {}
    for batch in in_batches(clips, indices, batch_size, model.modalities):
        with torch.inference_mode():
            heads = model.heads(to_device(batch.inputs, device))
        labels.append(batch.labels)
        for name, values in heads.items():
            logits.setdefault(name, []).append(values.float().cpu())
    model.train(was_training)
    return torch.cat(labels), {name: torch.cat(values) for name, values in logits.items()}


def in_batches(
    clips: Clips, indices: Indices | None, batch_size: int, modalities: tuple[str, ...]
) -> Iterator[LabelledBatch]:
    """Yield the clips at `indices` (all of them when None) in that order."""
    order = np.arange(len(clips)) if indices is None else indices
    for start in range(0, len(order), batch_size):
        yield clips.gather(order[start : start + batch_size], modalities)
