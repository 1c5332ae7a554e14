"""Every check of one attacked run, from what the pipeline has stored of it."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mmlib.attacks.methods.pgd import pgd
from mmlib.evaluation.attacked.recalled import recalling
from mmlib.evaluation.attacked.run import AttackedRun
from mmlib.evaluation.checks import (
    effort,
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
from mmlib.evaluation.checks.universal import check_universal
from mmlib.evaluation.sweep.refine import Whole
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
from mmlib.params.attacks import Attack
from mmlib.params.checks import Checks
from mmlib.runtime.arrays import Indices
from mmlib.runtime.errors import UserError
from mmlib.runtime.parquet import Reader
from mmlib.runtime.paths import checkpoint_files
from mmlib.runtime.pieces import results
from mmlib.runtime.scratch import Scratch, fingerprint
from mmlib.runtime.seeds import derive, drawn
from mmlib.threats import MODALITIES

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
    *,
    scratch: Scratch,
) -> dict[str, list[Outcome]]:
    """Check every run, in processes; failing checks are named on stderr.

    What is found of a run is kept in `scratch` (see `progress`).
    """
    tasks = [Task(run, runs, places, attack, checks, seed, floor_db) for run in runs]
    checked = results(
        check_run,
        tasks,
        scratch,
        names=runs,
        label="check",
        workers=devices.worker_processes(),
        device=True,
    )
    found = dict(zip(runs, checked, strict=True))
    for run, outcomes in found.items():
        for outcome in outcomes:
            if outcome.status == "fail":
                line = f"check: {run}: {outcome.name} FAILS: {outcome.message}"
                print(line, file=sys.stderr)
    return found


def progress(
    runs: tuple[str, ...],
    places: Places,
    attack: Attack,
    checks: Checks,
    seed: int,
    floor_db: float,
) -> Scratch:
    """Where the runs that `check_runs` has checked with these arguments are kept."""
    tables = [
        *sorted(places.shards.glob("*.parquet")),
        *(places.attacks / f"{run}{part}.parquet" for run in runs for part in ("", "-examples")),
        *(places.embeddings / f"{run}.parquet" for run in runs),
    ]
    files = [file for run in runs for file in checkpoint_files(places.models / run)]
    content = [Reader(path).identity for path in tables]
    return Scratch("check", fingerprint(runs, attack, checks, seed, floor_db, content, *files))


def check_run(task: Task) -> list[Outcome]:
    """The outcomes of every check for one run, in a fixed order.

    A check that fails is a result, not an error; UserError is for files that are absent or broken.
    """
    places, attack = task.places, task.attack
    model = places.models / task.run
    run = AttackedRun.load(model, places.shards, attack, devices.select_in_worker())
    table, clips = AttackScores(places.attacks / f"{task.run}.parquet"), run.clips
    if sorted(clips.clip_ids) != table.clip_ids.tolist():
        raise UserError(
            f"{table.path}: attacked other clips than {places.shards} has; run `dvc repro`"
        )
    rows = drawn(len(clips), task.checks.clips, derive(task.seed, "checks"))
    probed = _probe(task, run, table, rows)
    arguments = (probed.model, probed.inputs, probed.labels, probed.threat, attack.loss)
    labels = clips.labels[np.argsort(np.array(clips.clip_ids), kind="stable")].astype(np.bool_)
    return [
        *model_checks.check_model(*arguments),
        *sweep.check_sweep(table, labels, attack),
        probe.check_single_step(probed),
        *effort.check_effort(
            probed,
            _whole(run, table, rows),
            (run.widest_threat, 1.0),
            task.checks,
            recalling(run.model),
        ),
        probe.check_transfer(probed, _sources(task, run)),
        _watched(probed),
        *examples.check_examples(places.attacks, task.run, run),
        known_weak_control(attack.norm),
        check_universal(probed, run, rows, task.checks.clips),
        _clean(task, table),
        honesty.threat_model_card(threat_card(attack, task.floor_db), attack),
        scores_match_scikit_learn(table, labels, task.seed),
    ]


def _probe(task: Task, run: AttackedRun, table: AttackScores, rows: Indices) -> probe.Probe:
    """The drawn clips with both modalities: other runs may need the one that this run lacks."""
    clip_ids, inputs, labels = run.gather(rows, MODALITIES)
    name = run.widest_threat
    stored = table.scores(Condition(name, "pgd", 1.0))
    attacked = torch.from_numpy(stored[np.searchsorted(table.clip_ids, np.array(clip_ids))])
    return probe.Probe(
        run.model,
        inputs,
        labels,
        run.threat(name, 1.0, inputs),
        task.attack,
        attacked.to(run.device),
        task.seed,
    )


def _whole(run: AttackedRun, table: AttackScores, rows: Indices) -> Whole:
    """The split under the widest threat at the headline budget, in the order of its clips."""
    condition = (run.widest_threat, 1.0)
    stored = table.scores(Condition(run.widest_threat, "pgd", 1.0))
    logits = stored[np.searchsorted(table.clip_ids, np.array(run.clips.clip_ids))]
    return Whole(
        run.clips.task,
        torch.from_numpy(run.clips.labels).to(run.device),
        torch.from_numpy(rows).to(run.device),
        {condition: torch.from_numpy(logits).to(run.device)},
    )


def _sources(task: Task, run: AttackedRun) -> dict[str, tuple[str, Model]]:
    """For each modality of the run another run that has it, one of that modality alone if any."""
    models = task.places.models
    known = {
        other: tuple(checkpoint.read_description(models / other)["inputs"])
        for other in task.runs
        if other != task.run
    }
    sources = {}
    for modality in run.net.modalities:
        having = [other for other, modalities in known.items() if modality in modalities]
        if having:
            chosen = min(having, key=lambda name: len(known[name]))
            net = run.beside(models / chosen).net
            sources[modality] = (chosen, net.requires_grad_(False))
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
        steps=probed.settings.total_steps,
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
