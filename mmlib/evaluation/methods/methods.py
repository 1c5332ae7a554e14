"""One run attacked by every method: the same clips, budgets and gradient steps for each."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmlib.evaluation.attacked.budgets import threats_met
from mmlib.evaluation.attacked.run import SPLIT
from mmlib.evaluation.methods.members import Entry, entries
from mmlib.evaluation.methods.work import Found, Part, attack_part
from mmlib.metrics.scores.common import drawn_of_scored
from mmlib.models import checkpoint, devices
from mmlib.params.attacks import Attack
from mmlib.params.methods import MethodsRun, MethodsSearch
from mmlib.params.score import Score
from mmlib.runtime.arrays import Bools, Floats32, Texts
from mmlib.runtime.paths import checkpoint_files
from mmlib.runtime.pieces import results
from mmlib.runtime.scratch import Scratch, fingerprint
from mmlib.runtime.seeds import derive
from mmlib.shards.read.loader import ShardSet


class Attacked(NamedTuple):
    """The clips of one run under one threat: logits clean (N, K), and by entry (M, N, K).

    M budgets ascend. `asked`: entry -> gradients and logits alone that it asked for at a budget.
    """

    threat: str
    clean: Floats32
    logits: dict[str, Floats32]
    asked: dict[str, tuple[int, int]]


class Outcome(NamedTuple):
    """What every method did to one run, under each threat, on N clips of K classes."""

    task: str
    labels: Bools
    recordings: Texts
    multiples: tuple[float, ...]
    entries: tuple[Entry, ...]
    attacked: tuple[Attacked, ...]


def compare(
    model: Path,
    shards: Path,
    wanted: MethodsRun,
    search: MethodsSearch,
    attack: Attack,
    score: Score,
    seed: int,
) -> Outcome:
    """Attack eval clips of the run `model` (a checkpoint without suffix) by every method.

    Methods that work on features which the model does not have are left out, and a line on stderr
    says so. A stopped stage resumes at the parts that are not finished. UserError for a threat that
    the run cannot meet.
    """
    description = checkpoint.read_description(model)
    inputs = tuple(description["inputs"])
    threats = threats_met(wanted.threats, inputs, f"methods.runs.{model.name}")
    clips = ShardSet(shards, SPLIT)
    checkpoint.check_classes(model, description, clips.classes, shards)
    rows = drawn_of_scored(
        np.array(clips.clip_ids, np.str_),
        clips.labels > 0,
        Path(score.common_with),
        search.clips,
        derive(seed, "methods"),
        "methods.search.clips",
    )
    files = [shards / "manifest.json", *sorted(shards.glob(f"{SPLIT}-*.parquet"))]
    held = [*files, *checkpoint_files(model)]
    mark = fingerprint(wanted, search, attack, seed, rows.tolist(), *held)
    scratch = Scratch(f"methods-{model.name}", mark)
    make = partial(Part, model, shards, attack, search, seed)
    cuts = [rows[at : at + attack.batch_size] for at in range(0, len(rows), attack.batch_size)]
    parts = [make(threat, tuple(cut.tolist())) for threat in threats for cut in cuts]
    found = results(
        attack_part,
        parts,
        scratch,
        names=[part.name for part in parts],
        label=f"methods {model.name}",
        workers=devices.worker_processes(),
        device=True,
    )
    scratch.finish()
    attacked = [
        _joined(threat, found[len(cuts) * turn : len(cuts) * (turn + 1)])
        for turn, threat in enumerate(threats)
    ]
    _tell_absent(model.name, attacked, entries(search))
    return Outcome(
        clips.task,
        clips.labels[rows] > 0,
        np.array(clips.source_ids, np.str_)[rows],
        tuple(sorted(search.multiples)),
        tuple(entries(search)),
        tuple(attacked),
    )


def _joined(threat: str, pieces: Sequence[Found]) -> Attacked:
    """Pieces of consecutive clips as one; of the entries, those that every piece has."""
    keys = [key for key in pieces[0].logits if all(key in piece.logits for piece in pieces)]
    return Attacked(
        threat,
        np.concatenate([piece.clean for piece in pieces]),
        {key: np.concatenate([piece.logits[key] for piece in pieces], axis=1) for key in keys},
        {key: pieces[0].asked[key] for key in keys},
    )


def _tell_absent(run: str, attacked: Sequence[Attacked], all_entries: Sequence[Entry]) -> None:
    for each in attacked:
        absent = [entry.key for entry in all_entries if entry.key not in each.logits]
        if absent:
            print(
                f"methods {run}: {', '.join(absent)} left out under {each.threat}: the run has no "
                "features that they work on (docs/methods.md)",
                file=sys.stderr,
            )
