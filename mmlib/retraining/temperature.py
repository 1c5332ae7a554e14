"""Make the guide of mixup from what the plain runs left behind: geometry and embeddings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmlib.metrics.geometry.head import read_head
from mmlib.metrics.geometry.table import GeometryTable
from mmlib.metrics.stored import (
    Embeddings,
    read_embeddings,
    read_labels,
)
from mmlib.params.retraining import MixupRule
from mmlib.retraining.guide import Guide
from mmlib.retraining.rule import (
    by_clip,
    class_weights,
    describe,
    mean_distances,
    neutral,
    relative_distances,
)
from mmlib.runtime.arrays import Floats
from mmlib.runtime.errors import UserError

MODALITIES = ("audio", "video")
FUSED = "fused"


class Measured(NamedTuple):
    """Where one run's geometry, cached embeddings and weights are."""

    geometry: Path
    embeddings: Path
    weights: Path


def make_guide(measured: Mapping[str, Measured], rule: MixupRule) -> tuple[Guide, dict[str, Any]]:
    """Apply the rule to the runs "audio", "video" and "fused"; return the guide and its account.

    Each modality's Beta follows from its own run; anchors follow from the fused run's kappa.
    Raises UserError when a file or a column is missing, when the runs differ in their train clips,
    or when the metrics were measured on the eval split, which would train on its labels.
    """
    tables = {name: GeometryTable(files.geometry) for name, files in measured.items()}
    spaces = {name: tables[name].main_space for name in tables}
    for name in MODALITIES:
        if spaces[name] != name:
            raise UserError(
                f"temperature.guides: {name} names a run on {spaces[name]}; name another"
            )
    clips = _read(measured[FUSED], spaces[FUSED])
    _refuse_eval(tables[FUSED], clips, measured[FUSED])

    def column(metric: str, name: str) -> Floats:
        return tables[name].column(metric, spaces[name], clips.classes)

    kappa = {name: column("kappa", name) for name in (*MODALITIES, FUSED)}
    beta, account = describe(
        clips.classes,
        {name: kappa[name] for name in MODALITIES},
        {name: column(_density(tables[name], rule.tau), name) for name in MODALITIES},
        rule,
    )
    weight = None
    if rule.gamma is not None:
        counts = clips.labels.sum(axis=0)
        weight = class_weights(neutral(kappa[FUSED]), counts, gamma=rule.gamma, floor=rule.floor)
    distances = mean_distances(
        [_distances(measured[name], spaces[name], clips, rule.p) for name in rule.partner_spaces]
    )
    guide = Guide(
        classes=clips.classes,
        class_weight=weight,
        beta=beta,
        temperature=rule.partner_temperature,
        same_class_share=rule.same_class_share,
        distances=by_clip(clips.clip_ids.tolist(), clips.labels, distances),
    )
    return guide, {"rule": rule.model_dump(mode="json"), "thresholds": account}


def _density(table: GeometryTable, tau: float | None) -> str:
    """The column of rho: the size-invariant form, finite wherever a class can be measured."""
    return f"log_density_{table.quantiles()[0] if tau is None else format(tau, 'g')}"


def _read(files: Measured, space: str) -> Embeddings:
    cached = read_embeddings(files.embeddings, "train", (space,))
    if space not in cached.vectors:
        raise UserError(f"{files.embeddings}: has no {space} embedding; run `dvc repro`")
    return cached


def _distances(files: Measured, space: str, clips: Embeddings, p: float) -> Floats:
    cached = _read(files, space)
    if not np.array_equal(cached.clip_ids, clips.clip_ids):
        raise UserError(
            f"{files.embeddings}: its train clips are not those of the fused run; run `dvc repro`"
        )
    vectors = cached.vectors[space]
    present = read_head(files.weights).present(space, vectors)
    return relative_distances(vectors, clips.labels, present, p=p)


def _refuse_eval(table: GeometryTable, clips: Embeddings, files: Measured) -> None:
    counts = table.column("n", table.main_space, clips.classes)
    if np.array_equal(counts, clips.labels.sum(axis=0)):
        return
    if np.array_equal(counts, read_labels(files.embeddings, "eval")[1].sum(axis=0)):
        raise UserError(
            f"{files.geometry}: measured on the eval split, whose labels must not guide training; "
            "set geometry.split to train or val"
        )
