"""What the report reads: every artefact of every run that is there, and nothing that is not."""

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmlib.metrics.scores.figures import read_figures
from mmlib.metrics.scores.tables import budget
from mmlib.params.retraining import AdversarialRun, MixupRun, SmoothedRun
from mmlib.params.whole.file import Params
from mmlib.report.comparison import study
from mmlib.runtime.errors import UserError
from mmlib.runtime.storage import Table, read_json, read_table
from mmlib.threats import SINGLE, THREATS


@dataclass(frozen=True)
class Run:
    """One run of params.yaml with its artefacts; an artefact that is absent is empty.

    `index` is the run's place in params.yaml and so its colour; `role` is what it is compared as:
    audio, video, fusion, gblend, plain, mixup or adversarial; `init` is the run that it was
    retrained from. A run without a row in train or retrain was made elsewhere: what it reads
    follows from what it was attacked under; `own` where it has a row in models. `audio_net` is that
    of its row, csn or cnn14, or None.
    """

    name: str
    index: int
    role: str
    modalities: tuple[str, ...]
    audio_net: str | None
    init: str | None
    metrics: Mapping[str, Any]
    curve: Table
    classwise: Table
    surface: Table
    isodamage: Table
    training: Table
    cost: Mapping[str, float]
    own: bool = False

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
    """The whole project as the report sees it; `missing` names runs without metrics.

    `theorem`: fused run -> threat -> counts. It and `guides` leave out what the pipeline made of
    runs that params.yaml had earlier.
    """

    params: Params
    root: Path
    manifest: Mapping[str, Any]
    runs: tuple[Run, ...]
    missing: tuple[str, ...]
    guides: Mapping[str, Mapping[str, Any]]
    checks: Mapping[str, Any]
    theorem: Mapping[str, Mapping[str, Any]]
    study: study.Study | None

    def absent(self, names: Iterable[str | None]) -> list[str]:
        """Those of the names that no run of this page has, each once."""
        return [name for name in dict.fromkeys(names) if name and self.named(name) is None]

    @property
    def fused(self) -> tuple[Run, ...]:
        """The runs that read both modalities."""
        return tuple(run for run in self.runs if len(run.modalities) > 1)

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

    def tables(
        self, kind: str, rows: Mapping[str, str], text: Collection[str]
    ) -> dict[str, tuple[Run, Table]]:
        """Tables metrics/<kind>/<row>.csv that are there and have a line, by row, with their runs.

        `rows`: row -> the name of its run, of which this page must have one; `text` as for
        `read_table`.
        """
        found = {}
        for row, name in rows.items():
            run, path = self.named(name), self.root / f"metrics/{kind}/{row}.csv"
            if run and path.is_file() and (table := read_table(path, text)):
                found[row] = run, table
        return found


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
    """Read the artefacts below `root` of every run in params.yaml, which may be none.

    A run without metrics/<run>.json is left out and named in `missing`; figures/<run>.csv beside it
    has all of its figures. Raises UserError when runs
    are named but none has metrics, or when a file is there but cannot be read.
    """
    runs, missing = [], []
    for index, name in enumerate(params.runs):
        metrics = _json(root / f"metrics/{name}.json")
        figures = root / f"metrics/figures/{name}.csv"
        if metrics:
            metrics = read_figures(figures) if figures.is_file() else metrics
            runs.append(_run(params, root, name, index, metrics))
        else:
            missing.append(name)
    if missing and not runs:
        raise UserError(
            f"{root / 'metrics'}: no run of params.yaml has metrics there; run `dvc repro`"
        )
    guides = {name: _json(root / f"data/guides/{name}.json") for name in _guides(params)}
    return Inputs(
        params=params,
        root=root,
        manifest=_json(root / "data/shards/manifest.json"),
        runs=tuple(runs),
        missing=tuple(missing),
        guides={name: guide for name, guide in guides.items() if guide},
        checks=_json(root / "metrics/checks.json"),
        theorem=_theorem(params, root, {run.name for run in runs}),
        study=study.read(root, params),
    )


def _theorem(params: Params, root: Path, runs: Set[str]) -> dict[str, dict[str, Any]]:
    """What stage theorem counted for each fused run and threat, where both runs are here."""
    counted = {}
    for fused, alone in params.theorem.fused.items():
        found = _json(root / f"metrics/theorem/{fused}.json")
        counted[fused] = {
            threat: found[threat]
            for threat, modality in SINGLE.items()
            if threat in found and {fused, getattr(alone, modality)} <= runs
        }
    return counted


def _guides(params: Params) -> tuple[str, ...]:
    rows = (*params.train.values(), *params.retrain.values(), *params.study.rows.values())
    used = {row.guide for row in rows} | {*params.blend.guides, *params.temperature.guides}
    return tuple(sorted((used | {"blend_reference"}) - {"none"}))


def _run(params: Params, root: Path, name: str, index: int, metrics: Mapping[str, Any]) -> Run:
    modalities, role, init = _role(params, name, metrics)
    row = params.train.get(init or name)
    return Run(
        name=name,
        index=index,
        role=role,
        modalities=modalities,
        audio_net=row.audio if row else None,
        init=init,
        metrics=metrics,
        curve=table_at(root / f"metrics/curves/{name}.csv"),
        classwise=table_at(root / f"metrics/classwise/{name}.csv"),
        surface=table_at(root / f"metrics/surface/{name}.csv"),
        isodamage=table_at(root / f"metrics/isodamage/{name}.csv"),
        training=table_at(root / f"metrics/training/{name}.csv"),
        cost=_json(root / f"metrics/costs/{name}.json"),
        own=name in params.models,
    )


def _role(
    params: Params, name: str, metrics: Mapping[str, Any]
) -> tuple[tuple[str, ...], str, str | None]:
    attacked = tuple(m for threat, m in SINGLE.items() if threat in _threats(metrics))
    if name in params.train:
        row = params.train[name]
        return row.modalities, _train_role(row.modalities, row.guide), None
    if name not in params.retrain:
        return attacked, _train_role(attacked, "none"), None
    retrained = params.retrain[name]
    start = params.train.get(retrained.init)
    modalities = start.modalities if start else attacked
    if isinstance(retrained, MixupRun):
        return modalities, "mixup", retrained.init
    if isinstance(retrained, AdversarialRun):
        return modalities, "adversarial", retrained.init
    if isinstance(retrained, SmoothedRun):
        return modalities, "smoothed", retrained.init
    return modalities, "plain", retrained.init


def _threats(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(threat for threat in THREATS if threat in metrics)


def _train_role(modalities: tuple[str, ...], guide: str) -> str:
    if len(modalities) > 1:
        return "gblend" if guide != "none" else "fusion"
    return modalities[0] if modalities else "unknown"


def _json(path: Path) -> dict[str, Any]:
    """The object in the file, empty when there is no such file; UserError when it is broken."""
    return read_json(path) if path.is_file() else {}


def table_at(path: Path) -> Table:
    """The columns of a csv, or none when there is no such file or no row in it."""
    return read_table(path) if path.is_file() else {}
