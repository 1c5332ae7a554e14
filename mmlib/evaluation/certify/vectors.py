"""The second certificate on what stage embed has cached: see `heads`."""

from pathlib import Path

import numpy as np
import torch

from mmlib.evaluation.attacked.run import SPLIT
from mmlib.evaluation.certify.heads import head_radii
from mmlib.evaluation.certify.work import CHOICE_SPLIT, Job
from mmlib.evaluation.goals.deciding import decider, needs_val
from mmlib.metrics.stored import read_embeddings
from mmlib.models import checkpoint
from mmlib.params.goals import Decision
from mmlib.runtime.arrays import Floats, Indices
from mmlib.shards.read.loader import ShardSet
from mmlib.threats import THREATS


def vector_radii(
    job: Job, decision: Decision, clips: ShardSet, rows: Indices, embeddings: Path
) -> tuple[Floats | None, Floats | None]:
    """Radii (N, K) of the cached vectors of the clips at `rows`, and lengths (N,) of what moves.

    The decisions are those of the run itself, without noise. None where no bound is known: for nets
    that `head_radii` does not know, and where a tag is shown by its rank and not by a threshold.
    """
    val = None
    if needs_val(decision, clips.task):
        chosen = read_embeddings(embeddings, CHOICE_SPLIT, ())
        val = chosen.labels, chosen.logits
    rule = decider(decision, clips.task, len(clips.classes), val)
    if rule.thresholds is None:
        return None, None
    model = checkpoint.load(job.model)[0]
    names = model.modalities
    cached = read_embeddings(embeddings, SPLIT, names)
    if set(names) - set(cached.vectors):
        return None, None
    at = np.searchsorted(cached.clip_ids, np.array([clips.clip_ids[place] for place in rows]))
    vectors = {name: torch.from_numpy(cached.vectors[name][at]) for name in names}
    radii = head_radii(model, vectors, torch.tensor(rule.thresholds), job.threat)
    moved = np.concatenate([cached.vectors[name][at] for name in THREATS[job.threat]], axis=1)
    lengths = np.linalg.norm(moved.astype(np.float64), axis=1)
    return (None, None) if radii is None else (radii.numpy(), lengths)
