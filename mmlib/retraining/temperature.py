"""Make the guide of mixup from what the plain runs left behind: geometry and embeddings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmlib.metrics.geometry.head import read_head
from mmlib.metrics.geometry.table import GeometryTable
from mmlib.metrics.stored import Embeddings, read_embeddings
from mmlib.params.retraining import MixupRule
from mmlib.retraining.dose import Dose, dose
from mmlib.retraining.guide import Guide
from mmlib.retraining.rule import (
    by_clip,
    class_weights,
    describe,
    mean_distances,
    relative_distances,
    same_class_shares,
    unguided_shares,
)
from mmlib.runtime.arrays import Bools, Floats
from mmlib.runtime.errors import UserError
from mmlib.threats import MODALITIES

FUSED = "fused"


class Measured(NamedTuple):
    """Where one run's geometry, cached embeddings and weights are."""

    geometry: Path
    embeddings: Path
    weights: Path


def make_guide(
    measured: Mapping[str, Measured], rule: MixupRule, strength: float
) -> tuple[Guide, Dose, dict[str, Any]]:
    """Apply the rule to the runs "audio", "video" and "fused"; return guide, dose and account.

    Each modality's Beta follows from its own run; anchors follow from the fused run's kappa.
    Strength 0 is the guide that draws as mixup does without one. Raises UserError when a file or a
    column is missing, when the runs differ in their train clips, when nothing could be measured, or
    when the metrics were measured on the eval split, which would train on its labels.
    """
    tables = _tables(measured)
    spaces = {name: table.main_space for name, table in tables.items()}
    clips = _read(measured[FUSED], spaces[FUSED])
    if not clips.labels.any():
        raise UserError("temperature: no clip of the train split has a label")

    carried = clips.labels.any(axis=0)

    def column(metric: str, name: str) -> Floats:
        found = tables[name].column(metric, spaces[name], clips.classes)
        return np.where(carried, found, np.nan)  # no train clip: nothing to guide

    kappa = {name: column("kappa", name) for name in (*MODALITIES, FUSED)}
    if not np.isfinite(kappa[FUSED]).any():
        raise UserError("temperature: kappa is missing for every class; check stage geometry")
    beta, account = describe(
        clips.classes,
        {name: kappa[name] for name in MODALITIES},
        {name: column(_density(tables[name], rule.tau), name) for name in MODALITIES},
        rule,
        strength,
    )
    distances = mean_distances(
        [_distances(measured[name], spaces[name], clips, rule.p) for name in rule.partner_spaces]
    )
    guide = Guide(
        classes=clips.classes,
        beta=beta,
        distances=by_clip(clips.clip_ids.tolist(), clips.labels, distances),
        **_draws(kappa[FUSED], clips.labels, rule, strength),
    )
    found = dose(guide, clips.labels.astype(np.uint8), distances, rule.base)
    described = {"strength": strength, "rule": rule.model_dump(mode="json")}
    return guide, found, {"dose": found.as_json(), **described, "thresholds": account}


def _draws(kappa: Floats, labels: Bools, rule: MixupRule, strength: float) -> dict[str, Any]:
    """The guide's parts that draw anchors and partners; None where nothing is to be guided."""
    exponent, near = strength * rule.gamma, rule.partner_temperature
    counts, clips = labels.sum(axis=0), int(labels.any(axis=1).sum())
    anyone = strength == 0 or (near is None and rule.same_class_share is None)
    return {
        "class_weight": class_weights(kappa, unguided_shares(labels), exponent)
        if exponent
        else None,
        "temperature": None if anyone or near is None else near / strength,
        "same_class_share": None
        if anyone
        else same_class_shares(counts, clips, rule.same_class_share, strength),
    }


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


def _tables(measured: Mapping[str, Measured]) -> dict[str, GeometryTable]:
    """The geometry of each run, of the modality that it stands for, and not of eval."""
    tables = {name: GeometryTable(files.geometry) for name, files in measured.items()}
    for name, table in tables.items():
        if name in MODALITIES and table.main_space != name:
            raise UserError(
                f"temperature.guides: {name} names a run on {table.main_space}; name another"
            )
        if "eval" in table.splits:
            raise UserError(
                f"{table.path}: measured on the eval split, whose labels must not guide training; "
                "set geometry.convexity_split and geometry.density_split to train or val"
            )
    return tables
