"""The music of one run: composed, played to clips as it is and in unseen rooms, and scored."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmlib.evaluation.attacked.run import SPLIT
from mmlib.evaluation.music.scene import AS_PLAYED, CLEAN, FIGURES, key
from mmlib.evaluation.music.stand import Plan
from mmlib.evaluation.music.work import RANDOM, UNIVERSAL, Task, compose_task
from mmlib.metrics.scores.common import drawn_of_scored
from mmlib.models import checkpoint, devices
from mmlib.params.music import MusicRun, MusicSettings
from mmlib.runtime.arrays import Array, Bytes, Indices, Texts
from mmlib.runtime.errors import UserError
from mmlib.runtime.paths import checkpoint_files
from mmlib.runtime.phases import Phase
from mmlib.runtime.pieces import finish
from mmlib.runtime.scratch import Scratch, fingerprint
from mmlib.runtime.seeds import derive
from mmlib.shards.read.loader import ShardSet


class Outcome(NamedTuple):
    """What became of N clips under each kind of music at each level.

    `arrays` are those of `Scene.played` over all clips; `shown` the places, among the N, of the
    clips that `examples` holds whole, `shown_at` dB.
    """

    classes: tuple[str, ...]
    task: str
    clip_ids: tuple[str, ...]
    recordings: Texts
    labels: Bytes
    kinds: tuple[str, ...]
    snrs: tuple[float, ...]
    rooms: int
    arrays: dict[str, Array]
    shown: tuple[int, ...]
    shown_at: float
    examples: dict[str, Array]


def measure(
    model: Path,
    shards: Path,
    wanted: MusicRun,
    settings: MusicSettings,
    loss: str,
    seed: int,
    *,
    common_with: Path,
) -> Outcome:
    """Compose music against a run, a checkpoint without suffix, and play it to eval clips.

    `common_with` restricts the clips as section score does. Goes on from finished pieces after a
    kill; neither that nor the number of processes changes a result. UserError for a run without
    ears, and where its clips have other classes or no label.
    """
    description = checkpoint.read_description(model)
    if "audio" not in description["inputs"]:
        raise UserError(f"music.runs names {model.name}, which reads no sound: leave it out")
    clips = ShardSet(shards, SPLIT)
    checkpoint.check_classes(model, description, clips.classes, shards)
    rows = drawn_of_scored(
        np.array(clips.clip_ids, np.str_),
        clips.labels > 0,
        common_with,
        settings.search.clips,
        derive(seed, "music", "clips"),
        "music.search.clips",
    )
    plan = Plan(model, shards, settings, loss, seed)
    composes = UNIVERSAL in wanted.kinds
    splits = {SPLIT, settings.universal.fit_on} if composes else {SPLIT}
    read = [path for split in splits for path in shards.glob(f"{split}-*.parquet")]
    files = [shards / "manifest.json", *sorted(read), *checkpoint_files(model)]
    mark = fingerprint(wanted, settings, loss, seed, rows.tolist(), *files)
    scratch = Scratch(f"music-{model.name}", mark)
    whole = Task(plan, wanted.kinds, scratch)
    tasks = _tasks(whole, rows, clips)
    phases = [_phase([whole] if composes else []), _phase(tasks)]
    workers = devices.worker_processes()
    label = f"music {model.name}"
    finish(compose_task, phases, scratch, label=label, workers=workers, device=True)
    outcome = _assembled(tasks, clips)
    scratch.finish()
    return outcome


def _phase(tasks: Sequence[Task]) -> Phase[Task]:
    return Phase(tasks, lambda place: tasks[place].finished)


def _tasks(whole: Task, rows: Indices, clips: ShardSet) -> list[Task]:
    """The clips in batches; a few with sound, evenly spread, are kept whole."""
    settings = whole.plan.settings
    there = rows[clips.present["audio"][rows]]
    count = min(settings.examples, len(there))
    shown = there[np.linspace(0, len(there) - 1, count).round().astype(int)].tolist()
    size = settings.search.batch_size
    cuts = [rows[first : first + size].tolist() for first in range(0, len(rows), size)]
    return [
        replace(whole, rows=tuple(cut), shown=tuple(row for row in cut if row in shown))
        for cut in cuts
    ]


def _assembled(tasks: Sequence[Task], clips: ShardSet) -> Outcome:
    plan, pieces = tasks[0].plan, [task.read() for task in tasks]
    rows = [row for task in tasks for row in task.rows]
    kinds = (RANDOM, *tasks[0].kinds)
    rooms = plan.settings.rooms.unseen
    names = [
        key(what, kind, snr_db, room)
        for kind in kinds
        for snr_db in plan.snrs
        for what, room in (
            *((figure, AS_PLAYED) for figure in FIGURES),
            *((what, room) for what in ("level", "logits") for room in range(AS_PLAYED, rooms)),
        )
    ]
    arrays = {name: np.concatenate([piece[name] for piece in pieces]) for name in (CLEAN, *names)}
    shown = [piece for piece, task in zip(pieces, tasks, strict=True) if task.shown]
    sounds = [f"clean {CLEAN}", *(f"{what} {k}" for what in ("mixed", "music") for k in kinds)]
    return Outcome(
        tuple(clips.classes),
        clips.task,
        tuple(clips.clip_ids[row] for row in rows),
        np.array([clips.source_ids[row] for row in rows], np.str_),
        clips.labels[rows],
        kinds,
        plan.snrs,
        rooms,
        arrays,
        tuple(rows.index(row) for task in tasks for row in task.shown),
        plan.shown_at,
        {name: np.concatenate([piece[name] for piece in shown]) for name in sounds if shown},
    )
