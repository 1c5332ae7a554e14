"""Convexity below the penultimate vector: through a model's fusion block, and from its input."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from mmlib.batch import Clips, to_device
from mmlib.metrics.geometry.clouds import JOINT
from mmlib.metrics.geometry.convexity import (
    Margins,
    Pairs,
    Rule,
    interpolate,
)
from mmlib.metrics.geometry.head import Head
from mmlib.metrics.geometry.spaces import (
    Space,
    rule_for,
)
from mmlib.metrics.stored import Embeddings
from mmlib.models import (
    checkpoint,
    devices,
)
from mmlib.models.base import Model
from mmlib.runtime.arrays import Bools, Indices, Reals, Texts
from mmlib.runtime.errors import UserError
from mmlib.shards.read.loader import ShardSet

INPUT = "input"

# Embeddings, and clips, that go through the network at once.
VECTORS = 4096
CLIPS = 32


def spaces_below(
    cached: Embeddings,
    head: Head,
    model_path: Path,
    shards: Path,
    *,
    split: str,
    bars: Reals | None,
    sample: int,
    input_sample: int,
) -> list[Space]:
    """Every space below the penultimate vector that the run has.

    Those before the fusion block when there are several modalities, on `sample` points a class; the
    input when `input_sample` is not 0. Raises UserError when embeddings, model and shards do not
    belong together.
    """
    model = checkpoint.load(model_path, devices.select())[0]
    rule = rule_for(bars)
    vectors = {name: v for name, v in cached.vectors.items() if name in model.modalities}
    present = {name: head.present(name, vector) for name, vector in vectors.items()}
    spaces = []
    if len(vectors) > 1:
        spaces += fusion_spaces(model, vectors, present, rule, sample=sample)
    if input_sample:
        clips = ShardSet(shards, split, waveform=model.waveform, pixels=True)
        everywhere = np.ones(len(cached.clip_ids), dtype=np.bool_)
        whole = np.logical_and.reduce([everywhere, *present.values()])
        rows = places(clips.clip_ids, cached.clip_ids)
        spaces.append(input_space(model, clips, rows, whole, rule, sample=input_sample))
    return spaces


def places(stored: Sequence[str], wanted: Texts) -> Indices:
    """Where each wanted clip is among the stored ones, (N,); UserError when one is not there."""
    place = {clip_id: row for row, clip_id in enumerate(stored)}
    absent = [clip_id for clip_id in wanted.tolist() if clip_id not in place]
    if absent:
        raise UserError(f"clip {absent[0]} has an embedding but is in no shard; run `dvc repro`")
    return np.array([place[clip_id] for clip_id in wanted.tolist()], dtype=np.intp)


def fusion_spaces(
    model: Model,
    vectors: Mapping[str, Reals],
    present: Mapping[str, Bools],
    rule: Rule,
    *,
    sample: int,
) -> list[Space]:
    """The spaces in front of a fusion block: each modality's own vector, and all of them joined.

    `vectors` and `present` map the model's modalities to (N, D) and (N,). In a modality's own space
    its vector moves from one clip to the other while the rest stay the first clip's [choice]:
    moving all of them at once is the joint space, which tells the modalities nothing apart. Both
    ends of a joint segment are real clips; of a modality's own segment only the first is.
    """
    modalities = tuple(vectors)
    spaces = [
        Space(name, _fused(model, vectors, (name,), rule), sample, None, present[name])
        for name in modalities
    ]
    every = np.logical_and.reduce([present[name] for name in modalities])
    margins = _fused(model, vectors, modalities, rule)
    return [*spaces, Space(JOINT, margins, sample, None, every)]


def input_space(
    model: Model,
    clips: Clips,
    places: Indices,
    present: Bools,
    rule: Rule,
    *,
    sample: int,
) -> Space:
    """The raw input, all modalities moving together; convexity alone, since it costs a forward pass
    a point.

    `places` (N,) says where in `clips` each row of the embeddings is, `present` (N,) which rows
    have all modalities.
    """
    device = model.device

    def margins(pairs: Pairs, column: int) -> Reals:
        parts = []
        for start in range(0, len(pairs.theta), CLIPS):
            chunk = slice(start, start + CLIPS)
            ends = [
                to_device(clips.gather(places[rows[chunk]], model.modalities).inputs, device)
                for rows in (pairs.first, pairs.second)
            ]
            theta = torch.from_numpy(pairs.theta[chunk]).to(device, torch.float32)
            with torch.inference_mode():
                mixed = {
                    name: torch.lerp(
                        ends[1][name],
                        ends[0][name],
                        theta.view(-1, *[1] * (ends[0][name].ndim - 1)),
                    )
                    for name in model.modalities
                }
                logits = model(mixed).float().cpu().numpy()
            parts.append(rule(logits, column))
        return np.concatenate(parts)

    return Space(INPUT, margins, sample, None, present)


def _fused(
    model: Model, vectors: Mapping[str, Reals], moving: tuple[str, ...], rule: Rule
) -> Margins:
    """Margins where the `moving` modalities are interpolated and the others stay the first's."""
    device = model.device

    def margins(pairs: Pairs, column: int) -> Reals:
        parts = []
        for start in range(0, len(pairs.theta), VECTORS):
            chunk = slice(start, start + VECTORS)
            first, second, theta = pairs.first[chunk], pairs.second[chunk], pairs.theta[chunk]
            points = {
                name: interpolate(vector[first], vector[second], theta)
                if name in moving
                else vector[first]
                for name, vector in vectors.items()
            }
            tensors = {name: torch.from_numpy(point).to(device) for name, point in points.items()}
            with torch.inference_mode():
                logits = model.classify(tensors).float().cpu().numpy()
            parts.append(rule(logits, column))
        return np.concatenate(parts)

    return margins
