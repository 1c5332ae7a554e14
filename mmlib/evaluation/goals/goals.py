"""The goals of one run: who decides, what is at stake, the attacks, and what came of them."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mmlib.evaluation.attacked.budgets import threats_met
from mmlib.evaluation.attacked.run import SPLIT
from mmlib.evaluation.goals.aims import Aim, Stake, aims_of, stake
from mmlib.evaluation.goals.attack import Part, Plan, Turned, clean_margins, turn_part
from mmlib.evaluation.goals.deciding import (
    Decider,
    decider,
    decisions_table,
    needs_val,
    refuse_without_val,
)
from mmlib.evaluation.goals.table import Outcome, Tried
from mmlib.metrics.stored import read_embeddings
from mmlib.models import checkpoint, devices
from mmlib.params.attacks import Attack
from mmlib.params.goals import Decision, GoalsRun, GoalsSearch
from mmlib.runtime.arrays import Bools, Floats32
from mmlib.runtime.paths import checkpoint_files
from mmlib.runtime.pieces import results
from mmlib.runtime.scratch import Scratch, fingerprint
from mmlib.runtime.seeds import derive, drawn
from mmlib.shards.read.loader import ShardSet
from mmlib.threats import THREATS


def try_goals(
    model: Path,
    shards: Path,
    embeddings: Path,
    wanted: GoalsRun,
    decision: Decision,
    search: GoalsSearch,
    attack: Attack,
    seed: int,
) -> Outcome:
    """Attack the run `model` (a checkpoint without suffix) on the eval split with its row's goals.

    `embeddings` is its data/embeddings/<run>.parquet, on whose val clips thresholds are chosen. A
    stopped stage resumes at the parts that are not finished. UserError for tags and threats that
    the run does not have.
    """
    key = f"goals.runs.{model.name}"
    description = checkpoint.read_description(model)
    threats = threats_met(wanted.threats, tuple(description["inputs"]), key)
    clips = ShardSet(shards, SPLIT)
    checkpoint.check_classes(model, description, clips.classes, shards)
    rule = _decider(decision, clips, shards, embeddings)
    aims = aims_of(wanted, clips.classes, rule.known(len(clips.classes)), key)
    inputs = [shards / "manifest.json", *sorted(shards.glob(f"{SPLIT}-*.parquet"))]
    said = [*map(str, rule.thresholds or ()), rule.top]
    mark = fingerprint(wanted, search, attack, seed, said, *inputs, *checkpoint_files(model))
    plan = Plan(model, shards, attack, search, rule, seed)
    scratch = Scratch(f"goals-{model.name}", mark)
    margins, labels = _margins(plan, len(clips), scratch), clips.labels > 0
    stakes = [stake(aim, labels, margins) for aim in aims]
    tried = list(_attacked(plan, threats, list(zip(aims, stakes, strict=True)), clips, scratch))
    scratch.finish()
    table = decisions_table(rule, clips.classes, labels, margins)
    return Outcome(
        tuple(clips.classes),
        tuple(clips.clip_ids),
        plan.multiples,
        attack.eps,
        tuple(tried),
        tuple(table),
    )


def _decider(decision: Decision, clips: ShardSet, shards: Path, embeddings: Path) -> Decider:
    """The rule, its thresholds chosen on val where it has such; UserError without val clips."""
    val = None
    if needs_val(decision, clips.task):
        refuse_without_val(shards)
        found = read_embeddings(embeddings, "val", ())
        val = found.labels, found.logits
    return decider(decision, clips.task, len(clips.classes), val)


def _margins(plan: Plan, clips: int, scratch: Scratch) -> Floats32:
    """How far above the decision each tag of the clean clips is, (N, K)."""
    size, name = plan.attack.batch_size, plan.model.name
    firsts = range(0, clips, size)
    found = results(
        clean_margins,
        [(plan, tuple(range(first, min(first + size, clips)))) for first in firsts],
        scratch,
        names=[f"clean-{first:07d}" for first in firsts],
        label=f"clean {name}",
        workers=devices.worker_processes(),
        device=True,
        last=False,
    )
    return np.concatenate(found)


def _attacked(
    plan: Plan,
    threats: Sequence[str],
    aims: Sequence[tuple[Aim, Stake]],
    clips: ShardSet,
    scratch: Scratch,
) -> Iterator[Tried]:
    """Attack what is at stake under each threat, finished parts aside, and yield each aim."""
    chosen = [_drawn(plan, aim, at) for aim, at in aims]
    work = {threat: _parts(plan, threat, aims, chosen, clips) for threat in threats}
    every = [part for parts in work.values() for part in parts]
    name = plan.model.name
    print(f"goals {name}: {sum(len(p.rows) for p in every)} attacks of a clip", file=sys.stderr)
    found = results(
        turn_part,
        every,
        scratch,
        names=[part.name for part in every],
        label=f"goals {name}",
        workers=devices.worker_processes(),
        device=True,
    )
    turned = dict(zip(every, found, strict=True))
    for threat, parts in work.items():
        of_threat = {part: turned[part] for part in parts}
        yield from _joined(threat, of_threat, aims, len(plan.multiples))


def _drawn(plan: Plan, aim: Aim, at: Stake) -> list[int]:
    """The clips at stake, or as many of them as are wanted, drawn by the seed; ascending."""
    seed = derive(plan.seed, "goals", aim.goal, str(aim.hidden), str(aim.injected))
    rows: list[int] = drawn(at.rows, plan.search.clips, seed).tolist()
    return rows


def _parts(
    plan: Plan,
    threat: str,
    aims: Sequence[tuple[Aim, Stake]],
    chosen: Sequence[Sequence[int]],
    clips: ShardSet,
) -> list[Part]:
    """The drawn clips that have an attacked modality, with their aims, in parts of a batch."""
    there: Bools = np.any([clips.present[name] for name in THREATS[threat]], axis=0)
    items = [
        (row, aim)
        for (aim, _), rows in zip(aims, chosen, strict=True)
        for row in rows
        if there[row]
    ]
    size = plan.attack.batch_size
    cuts = [items[first : first + size] for first in range(0, len(items), size)]
    return [
        Part(plan, threat, tuple(row for row, _ in cut), tuple(aim for _, aim in cut), number)
        for number, cut in enumerate(cuts)
    ]


def _joined(
    threat: str, parts: Mapping[Part, Turned], aims: Sequence[tuple[Aim, Stake]], budgets: int
) -> Iterator[Tried]:
    """What became of each aim's clips; one without clips is there too."""
    found: dict[Aim, list[tuple[int, int, Bools]]] = {aim: [] for aim, _ in aims}
    for part, turned in parts.items():
        for row, aim, first, noise in zip(part.rows, part.aims, *turned, strict=True):
            found[aim].append((row, int(first), noise))
    for aim, at in aims:
        rows = tuple(row for row, _, _ in found[aim])
        first = np.array([place for _, place, _ in found[aim]], np.int64)
        noise = np.array([each for _, _, each in found[aim]], np.bool_).reshape(-1, budgets)
        yield Tried(aim, threat, at.labelled, len(at.rows), rows, Turned(first, noise))
