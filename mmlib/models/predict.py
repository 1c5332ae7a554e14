"""Run a model over a split: logits and embeddings, in float32, in the stored order."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
import torch

from mmlib.batch import ALONE, Clips, LabelledBatch, Place, to_device
from mmlib.models import ranks
from mmlib.models.base import Model
from mmlib.runtime.ahead import ahead
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

    Runs in eval mode and leaves the model in the mode it was in. Processes that train together
    share the batches out and return the same.
    """
    was_training = model.training
    model.eval()
    found: list[tuple[torch.Tensor, dict[str, torch.Tensor]]] = []
    for batch in in_batches(clips, indices, batch_size, model.modalities, ranks.place()):
        with torch.inference_mode():
            heads = model.heads(to_device(batch.inputs, device))
        found.append((batch.labels, {name: v.float().cpu() for name, v in heads.items()}))
    model.train(was_training)
    turns = zip_longest(*ranks.values_of_all(found))
    labels, logits = zip(*(part for turn in turns for part in turn if part), strict=True)
    return torch.cat(labels), {n: torch.cat([part[n] for part in logits]) for n in logits[0]}


def in_batches(
    clips: Clips,
    indices: Indices | None,
    batch_size: int,
    modalities: tuple[str, ...],
    place: Place = ALONE,
) -> Iterator[LabelledBatch]:
    """Yield the clips at `indices` (all of them when None) in that order.

    Of several processes each gets every so many-th batch. The next one is read meanwhile.
    """
    order = np.arange(len(clips)) if indices is None else indices
    starts = range(place.rank * batch_size, len(order), place.size * batch_size)
    chunks = (order[start : start + batch_size] for start in starts)
    return ahead(lambda chunk: clips.gather(chunk, modalities), chunks, 1)
