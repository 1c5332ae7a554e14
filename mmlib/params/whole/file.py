"""The whole of params.yaml: every section, and what holds between them.

`check` runs before any stage does anything, whichever runs first: stage params runs it before DVC
looks for the files that are named here, every other stage when it begins. None of these depends on
this module in dvc.yaml: it decides whether a stage runs, never what the stage writes.
"""

from pathlib import Path

from pydantic import model_validator

from mmlib.params.attacks import Attack
from mmlib.params.certify import Certify
from mmlib.params.checks import Checks, Theorem
from mmlib.params.data import Data
from mmlib.params.decode import Decode
from mmlib.params.geometry import Embed, Geometry
from mmlib.params.goals import Goals
from mmlib.params.methods import Methods
from mmlib.params.music import Music
from mmlib.params.report import Report
from mmlib.params.retraining import RetrainRun, Temperature
from mmlib.params.score import Score
from mmlib.params.shard import Shard
from mmlib.params.stress import Stress
from mmlib.params.study import Study
from mmlib.params.survival import Survival
from mmlib.params.training import Augment, Batches, Blend, ModelRow, ModelSizes, Optimiser, TrainRun
from mmlib.params.transfer import Transfer
from mmlib.params.whole import guides, named, names, rows, sections, starts
from mmlib.runtime.errors import UserError
from mmlib.runtime.settings import PARAMS, Section, Seed, read, validate
from mmlib.runtime.storage import read_json


class Params(Section):
    """The whole of params.yaml."""

    seed: Seed
    data: Data
    decode: Decode
    shard: Shard
    model: ModelSizes
    optimiser: Optimiser
    augment: Augment
    batches: Batches
    train: dict[str, TrainRun]
    models: dict[str, ModelRow]
    blend: Blend
    embed: Embed
    geometry: Geometry
    temperature: Temperature
    retrain: dict[str, RetrainRun]
    attack: Attack
    score: Score
    checks: Checks
    theorem: Theorem
    goals: Goals
    methods: Methods
    transfer: Transfer
    stress: Stress
    music: Music
    certify: Certify
    survival: Survival
    report: Report
    study: Study

    @property
    def runs(self) -> tuple[str, ...]:
        """Every run: the rows of train, then those of retrain, then those of models."""
        return (*self.train, *self.retrain, *self.models)

    def modalities(self, run: str) -> tuple[str, ...] | None:
        """What a run reads, a retrained run what its `init` does; None where no row says it.

        What a row of models reads, only its net knows.
        """
        init = self.retrain[run].init if run in self.retrain else run
        return self.train[init].modalities if init in self.train else None

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        for part in (rows, starts, guides, sections):
            for fault in part.faults(self):
                raise ValueError(fault)
        return self


def load(path: str | Path = PARAMS) -> Params:
    """Read and check params.yaml; UserError names the file, the key and what is wrong with it."""
    path = Path(path)
    values = read(path)
    for fault in names.faults(values):
        raise UserError(f"{path}: {fault}")
    return validate(Params, values, path)


def check() -> None:
    """Refuse params.yaml of the working folder where it cannot be right, and files that it names.

    UserError: one line with the key.
    """
    params = load()
    source = params.data.source
    if source != "events" and not params.data.path:
        raise UserError(
            f"{PARAMS}: data.path is missing: data.source {source} reads its lists from that folder"
        )
    for key, file in named.files(params).items():
        if fault := named.fault(key, file):
            raise UserError(f"{PARAMS}: {fault}")
    for name, model in params.models.items():
        if not Path(model.code).exists():
            raise UserError(f"{PARAMS}: models.{name}.code names {model.code}, which is not there")
    for key, guide, mixes in guides.given_guides(params):
        path = guides.FOLDER / f"{guide}.json"
        if not path.is_file():
            known = ", ".join((guides.UNGUIDED, *params.blend.guides, *params.temperature.guides))
            raise UserError(
                f"{PARAMS}: {key} is {guide!r}: no guide of blend or temperature, and no file "
                f"{path}; known are {known}"
            )
        holds = read_json(path, "name another guide")
        wanted = "beta" if mixes else "heads"
        if wanted not in holds:
            has = "heads' weights" if "heads" in holds else "no heads' weights"
            raise UserError(
                f"{PARAMS}: {key} is {guide!r}, but {path} holds {has}; "
                f"{'mixup takes a guide of temperature' if mixes else 'name a guide of blend'}"
            )
