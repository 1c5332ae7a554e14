"""Every check of one attacked run, from what the pipeline has stored of it."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mmlib.attacks.methods.pgd import pgd
from mmlib.batch import to_device
from mmlib.evaluation.attacked import (
    domain,
    frozen,
)
from mmlib.evaluation.attacked.threats import (
    build_threat,
    threat_names,
)
from mmlib.evaluation.checks import (
    examples,
    honesty,
    probe,
    sweep,
)
from mmlib.evaluation.checks import model as model_checks
from mmlib.evaluation.checks.controls import known_weak_control
from mmlib.evaluation.checks.outcome import Outcome
from mmlib.evaluation.checks.recomputed import scores_match_scikit_learn
from mmlib.evaluation.checks.strongest import silent_success
from mmlib.evaluation.checks.universal import (
    check_universal,
    drawn,
)
from mmlib.evaluation.threat_card import threat_card
from mmlib.metrics.stored import (
    CLEAN,
    AttackScores,
    Condition,
    read_embeddings,
)
from mmlib.models import (
    checkpoint,
    devices,
)
from mmlib.models.base import Model
from mmlib.params import Attack, Checks
from mmlib.runtime.errors import UserError
from mmlib.runtime.seeds import derive
from mmlib.runtime.workers import map_ordered
from mmlib.shards.read.loader import ShardSet

_PATH_CLIPS = 8


@dataclass(frozen=True)
class Places:
    """Where the artefacts lie: shards, and the folders of checkpoints, attacks and embeddings."""

    shards: Path
    models: Path
    attacks: Path
    embeddings: Path


@dataclass(frozen=True)
class Task:
    """One run to check, among `runs`; `floor_db` is the range of the log-mel."""

    run: str
    runs: tuple[str, ...]
    places: Places
    attack: Attack
    checks: Checks
    seed: int
    floor_db: float


def check_runs(
    runs: tuple[str, ...],
    places: Places,
    attack: Attack,
    checks: Checks,
    seed: int,
    floor_db: float,
) -> dict[str, list[Outcome]]:
    """Check every run, in processes; a failing check is named on stderr as its run is done."""
    tasks = [Task(run, runs, places, attack, checks, seed, floor_db) for run in runs]
    workers = devices.worker_processes()
    found: dict[str, list[Outcome]] = {}
    for task, outcomes in zip(
        tasks, map_ordered(check_run, tasks, label="check", workers=workers), strict=True
    ):
        found[task.run] = outcomes
        for outcome in outcomes:
            if outcome.status == "fail":
                line = f"check: {task.run}: {outcome.name} FAILS: {outcome.message}"
                print(line, file=sys.stderr)
    return found


def check_run(task: Task) -> list[Outcome]:
    """The outcomes of every check for one run, in a fixed order.

    A check that fails is a result, not an error; UserError is for files that are absent or broken.
    """
    places, attack = task.places, task.attack
    device = devices.select_in_worker()
    net = _model(task, task.run, device)
    clips = ShardSet(places.shards, "eval")
    table = AttackScores(places.attacks / f"{task.run}.parquet")
    if sorted(clips.clip_ids) != table.clip_ids.tolist():
        raise UserError(
            f"{table.path}: attacked other clips than {places.shards} has; run `dvc repro`"
        )
    rows = drawn(len(clips), task.checks.clips, derive(task.seed, "checks"))
    probed = _probe(task, net, clips, table, rows, device)
    arguments = (probed.model, probed.inputs, probed.labels, probed.threat, attack.loss)
    labels = clips.labels[np.argsort(np.array(clips.clip_ids), kind="stable")].astype(np.bool_)
    return [
        *model_checks.check_model(*arguments),
        *sweep.check_sweep(table, labels, attack),
        *probe.check_effort(probed, task.checks.queries),
        probe.check_transfer(probed, _sources(task, net, device)),
        _watched(probed),
        *examples.check_examples(
            places.attacks,
            task.run,
            net,
            domain.input_shapes(clips, places.shards, attack.domain),
            attack,
            device,
        ),
        known_weak_control(attack.norm),
        check_universal(probed, clips, rows, places.shards, task.checks.clips),
        _clean(task, table),
        honesty.threat_model_card(threat_card(attack, task.floor_db), attack),
        scores_match_scikit_learn(table, labels, task.seed),
    ]


def _model(task: Task, run: str, device: torch.device) -> Model:
    """Any run's model, reading audio in the form that is attacked."""
    path = task.places.models / run
    return domain.load_model(path, device, task.places.shards, task.attack.domain)


def _probe(
    task: Task,
    net: Model,
    clips: ShardSet,
    table: AttackScores,
    rows: NDArray[np.intp],
    device: torch.device,
) -> probe.Probe:
    """The drawn clips with both modalities: other runs may need the one that this run lacks."""
    batch = domain.gather(clips, rows, domain=task.attack.domain)
    inputs, labels = to_device(batch.inputs, device), batch.labels.to(device)
    name = threat_names(net.modalities)[-1]
    threat = build_threat(name, task.attack, 1.0, inputs)
    stored = table.scores(Condition(name, "pgd", task.attack.eps))
    attacked = stored[np.searchsorted(table.clip_ids, np.array(batch.clip_ids))]
    model = frozen.frozen(net, inputs)
    return probe.Probe(
        model, inputs, labels, threat, task.attack, torch.from_numpy(attacked).to(device), task.seed
    )


def _sources(task: Task, net: Model, device: torch.device) -> dict[str, tuple[str, Model]]:
    """For each modality of the run another run that reads it, if any, preferably it alone."""
    models = task.places.models
    known = {
        run: tuple(checkpoint.read_description(models / run)["inputs"])
        for run in task.runs
        if run != task.run
    }
    sources = {}
    for modality in net.modalities:
        having = [run for run, modalities in known.items() if modality in modalities]
        if having:
            run = min(having, key=lambda name: len(known[name]))
            sources[modality] = (run, _model(task, run, device).requires_grad_(False))
    return sources


def _watched(probed: probe.Probe) -> Outcome:
    """Follow PGD with long, constant steps, whose last point is seldom the best one."""
    few = {name: value[:_PATH_CLIPS] for name, value in probed.inputs.items()}
    return silent_success(
        probed.model,
        few,
        probed.labels[:_PATH_CLIPS],
        probed.threat,
        probed.settings.loss,
        pgd,
        steps=probed.settings.steps,
        step_size=1.0,
        schedule="constant",
    )


def _clean(task: Task, table: AttackScores) -> Outcome:
    embedded = read_embeddings(task.places.embeddings / f"{task.run}.parquet", "eval", ())
    same = np.array_equal(embedded.clip_ids, table.clip_ids)
    return honesty.clean_beside_robust(
        table.scores(Condition(CLEAN, CLEAN, 0.0)),
        embedded.logits if same else None,
        rounded=task.attack.domain == "waveform",
    )
