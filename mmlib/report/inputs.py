"""What the report reads: every artefact of every run that is there, and nothing that is not."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmlib.metrics.scores.tables import budget
from mmlib.params import AdversarialRun, MixupRun, Params, TrainRun
from mmlib.report.comparison import study
from mmlib.runtime.errors import UserError
from mmlib.threats import THREATS

Table = Mapping[str, NDArray[Any]]
"""Columns of a csv by name: float64 where every cell is a number or empty (nan), else str."""


@dataclass(frozen=True)
class Run:
    """One row of params.runs with its artefacts; an artefact that is absent is empty.

    `index` is the run's place in params.runs and so its colour; `role` is what it is compared as:
    audio, video, fusion, gblend, plain, mixup or adversarial; `init` is the run that it was
    retrained from.
    """

    name: str
    index: int
    role: str
    modalities: tuple[str, ...]
    init: str | None
    metrics: Mapping[str, Any]
    curve: Table
    classwise: Table
    surface: Table
    isodamage: Table
    training: Table
    cost: Mapping[str, float]

    @property
    def threats(self) -> tuple[str, ...]:
        """The threats that this run was attacked under, as metrics tell."""
        return tuple(threat for threat in THREATS if threat in self.metrics)

    @property
    def widest_threat(self) -> str | None:
        """The threat on all its modalities."""
        return self.threats[-1] if self.threats else None

    def value(self, condition: str, key: str) -> float | None:
        """A headline figure, such as ("clean", "mAP"); None where there is none."""
        part = self.metrics.get(condition)
        value = part.get(key) if isinstance(part, Mapping) else None
        return float(value) if isinstance(value, int | float) else None


@dataclass(frozen=True)
class Inputs:
    """The whole project as the report sees it; `missing` names runs without metrics."""

    params: Params
    root: Path
    manifest: Mapping[str, Any]
    runs: tuple[Run, ...]
    missing: tuple[str, ...]
    guides: Mapping[str, Mapping[str, Any]]
    checks: Mapping[str, Any]
    theorem: Mapping[str, Any]
    study: study.Study | None

    def with_role(self, *roles: str) -> Run | None:
        """The first run that plays one of the roles, the earlier role first."""
        for role in roles:
            for run in self.runs:
                if run.role == role:
                    return run
        return None

    def named(self, name: str | None) -> Run | None:
        """The run of this name, if it is there."""
        return next((run for run in self.runs if run.name == name), None)


def band(run: Run, condition: str, headline: float) -> tuple[float, float] | None:
    """Interval of mAP, clean or at the headline eps, from the run's curve, if it is there."""
    threat = condition if condition in run.threats else run.widest_threat
    if f"{threat}_lo" not in run.curve:
        return None
    eps = 0.0 if condition == "clean" else float(budget(headline))
    rows = np.flatnonzero(run.curve["eps"] == eps)
    if len(rows) == 0:
        return None
    return float(run.curve[f"{threat}_lo"][rows[0]]), float(run.curve[f"{threat}_hi"][rows[0]])


def load(params: Params, root: Path) -> Inputs:
    """Read the artefacts below `root` of every run in params.runs.

    A run without metrics/<run>.json is left out and named in `missing`. Raises UserError when no
    run has metrics, or when a file is there but cannot be read.
    """
    runs, missing = [], []
    for index, name in enumerate(params.runs):
        metrics = read_json(root / f"metrics/{name}.json")
        if metrics:
            runs.append(_run(params, root, name, index, metrics))
        else:
            missing.append(name)
    if not runs:
        raise UserError(
            f"{root / 'metrics'}: no run of params.runs has metrics there; run `dvc repro`"
        )
    guides = {name: read_json(root / f"data/guides/{name}.json") for name in _guides(params)}
    return Inputs(
        params=params,
        root=root,
        manifest=read_json(root / "data/shards/manifest.json"),
        runs=tuple(runs),
        missing=tuple(missing),
        guides={name: guide for name, guide in guides.items() if guide},
        checks=read_json(root / "metrics/checks.json"),
        theorem=read_json(root / "metrics/theorem.json"),
        study=study.read(root, params),
    )


def _guides(params: Params) -> tuple[str, ...]:
    used = {row.guide for row in params.train.values()} | {"blend", "blend_reference"}
    return tuple(sorted(used - {"none"}))


def _run(params: Params, root: Path, name: str, index: int, metrics: Mapping[str, Any]) -> Run:
    modalities, role, init = _role(params, name)
    return Run(
        name=name,
        index=index,
        role=role,
        modalities=modalities,
        init=init,
        metrics=metrics,
        curve=read_table(root / f"metrics/curves/{name}.csv"),
        classwise=read_table(root / f"metrics/classwise/{name}.csv"),
        surface=read_table(root / f"metrics/surface/{name}.csv"),
        isodamage=read_table(root / f"metrics/isodamage/{name}.csv"),
        training=read_table(root / f"metrics/training/{name}.csv"),
        cost=read_json(root / f"metrics/costs/{name}.json"),
    )


def _role(params: Params, name: str) -> tuple[tuple[str, ...], str, str | None]:
    if name in params.train:
        row = params.train[name]
        return row.modalities, _train_role(row), None
    retrained = params.retrain[name]
    modalities = params.train[retrained.init].modalities
    if isinstance(retrained, MixupRun):
        return modalities, "mixup", retrained.init
    if isinstance(retrained, AdversarialRun):
        return modalities, "adversarial", retrained.init
    return modalities, "plain", retrained.init


def _train_role(row: TrainRun) -> str:
    if len(row.modalities) == 1:
        return row.modalities[0]
    return "gblend" if row.guide != "none" else "fusion"


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file, empty when there is no such file; UserError when it is broken."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); delete it and run `dvc repro`") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: an object was expected; delete it and run `dvc repro`")
    return value


def read_table(path: Path) -> Table:
    """The columns of a csv, or none when there is no such file or no row in it."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if not rows:
        return {}
    return {name: _column(name, [row[name] for row in rows]) for name in rows[0]}


def _column(name: str, cells: list[str]) -> NDArray[Any]:
    if name == "class":  # a class may be called "7"
        return np.array(cells, np.str_)
    try:
        return np.array([float(cell) if cell else np.nan for cell in cells], np.float64)
    except ValueError:
        return np.array(cells, np.str_)
