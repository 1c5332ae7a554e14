"""One row of the study under one seed: trained, attacked at the headline budget, scored."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmlib.evaluation.attacked.run import SPLIT
from mmlib.evaluation.sweep.attack import attack_split
from mmlib.metrics.ranking import summary
from mmlib.metrics.scores.common import shared
from mmlib.metrics.scores.conditions import (
    CLEAN_CONDITION,
    HEADLINE_ATTACK,
)
from mmlib.metrics.scores.jackknife import pseudo_values
from mmlib.metrics.scores.recordings import by_recording
from mmlib.metrics.stored import (
    CLEAN,
    AttackScores,
    Condition,
)
from mmlib.models import checkpoint
from mmlib.params.attacks import Attack, AttackMethod
from mmlib.params.study import JointRun, StudyRun, StudySettings
from mmlib.retraining.retrain import retrain
from mmlib.runtime.arrays import Bools, Floats, Floats32, Texts
from mmlib.runtime.scratch import Scratch
from mmlib.runtime.seeds import derive
from mmlib.shards.read.loader import ShardSet
from mmlib.training.train import (
    Fitted,
    train,
)

FIGURES = ("mAP", "AUC", "dprime", "accuracy")

Line = dict[str, Any]
"""A row of metrics/study/<row>.csv."""


def fit(row: StudyRun, settings: StudySettings, data: Path, *, name: str, seed: int) -> Fitted:
    """Train the row's model.

    The seed's use is the same for all rows, so that under one seed they see the clips in the same
    order and with the same augmentation, as far as their methods let them: what differs between two
    rows is then less a matter of luck.
    """
    seed = derive(seed, "study")
    if not isinstance(row, JointRun):
        return retrain(row, settings.learning, data, name=name, seed=seed)
    own = settings.start.model_copy(update=row.model_dump(exclude={"method", "init"}))
    return train(own, settings.model, settings.learning, data, name=name, seed=seed)


def headline(attack: AttackMethod) -> Attack:
    """The pipeline's own attack at the headline budget alone."""
    return Attack(**attack.model_dump(), sweep=(1.0,), sweep_steps=1, examples=0)


def score(
    fitted: Fitted, settings: StudySettings, data: Path, scratch: Scratch, name: str
) -> tuple[list[Line], Mapping[str, Floats]]:
    """Attack the eval split under every threat; return a line per threat, and mAP's pseudo-values.

    These are of the same recordings, in the same order, for every row and seed.
    """
    model = scratch.path(name)
    checkpoint.save(fitted.model, model, fitted.description)
    attack_split(
        data / "shards", model, scratch.directory, headline(settings.attack), settings.seed
    )
    scores = AttackScores(scratch.path(f"{name}.parquet"))
    labels, recordings = eval_labels(data / "shards", scores.clip_ids)
    chosen = shared(scores.clip_ids, labels, Path(settings.score.common_with))
    labels, recordings = labels[chosen], recordings[chosen]
    lines, pseudo = [], {}
    for threat in (CLEAN, *scores.threats):
        eps = 0.0 if threat == CLEAN else scores.eps
        at = CLEAN_CONDITION if threat == CLEAN else Condition(threat, HEADLINE_ATTACK, 1.0)
        logits = scores.scores(at)[chosen]
        steps = 0 if threat == CLEAN else settings.attack.total_steps
        lines.append(line("headline", threat, eps, steps, labels, logits, scores.task))
        pseudo[threat] = by_recording(pseudo_values(labels, logits), recordings)
    return lines, pseudo


def line(
    part: str,
    threat: str,
    eps: float,
    steps: int,
    labels: Bools,
    logits: Floats32,
    task: str,
) -> Line:
    """The figures of one condition; `part` is headline, table or val."""
    found = summary(labels, logits, task)
    figures = {name: found[name] for name in FIGURES if name in found}
    return {"part": part, "threat": threat, "eps": eps, "steps": steps, **figures}


def eval_labels(shards: Path, clip_ids: Texts) -> tuple[Bools, Texts]:
    """Labels (N, K) and recordings (N,) of the eval clips of these ids, in their order."""
    clips = ShardSet(shards, SPLIT)
    place = {clip_id: index for index, clip_id in enumerate(clips.clip_ids)}
    rows = [place[clip_id] for clip_id in clip_ids]
    return clips.labels[rows].astype(np.bool_), np.array(clips.source_ids)[rows]
