"""One piece of the work in one process: the piece for all clips, or the pieces for some clips."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load, save_file

from mmlib.evaluation.attacked.run import SPLIT
from mmlib.evaluation.music.compose import Search
from mmlib.evaluation.music.mix import samples
from mmlib.evaluation.music.scene import CLEAN, Scene, key
from mmlib.evaluation.music.score import Score
from mmlib.evaluation.music.stand import Plan, stand_at
from mmlib.params.music import PieceKind
from mmlib.runtime import sealed
from mmlib.runtime.arrays import Array
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import Scratch
from mmlib.runtime.seeds import derive, drawn
from mmlib.runtime.storage import reading

RANDOM = "random"
PER_CLIP: PieceKind = "per_clip"
UNIVERSAL: PieceKind = "universal"


@dataclass(frozen=True)
class Task:
    """Clips at some places of the eval split, `shown` those kept whole; none: the shared piece."""

    plan: Plan
    kinds: tuple[PieceKind, ...]
    scratch: Scratch
    rows: tuple[int, ...] = ()
    shown: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The name of its piece in scratch."""
        return f"{self.rows[0]:07d}.safetensors" if self.rows else f"{UNIVERSAL}.safetensors"

    @property
    def finished(self) -> bool:
        """Tell whether it is in scratch."""
        return self.scratch.has(self.name)

    def read(self) -> dict[str, Array]:
        """What it left in scratch."""
        path = self.scratch.path(self.name)
        with reading(path, "a finished piece"):
            return load(sealed.content(path))


def compose_task(task: Task) -> None:
    """Do a piece of the work, and keep what came of it in scratch."""
    arrays = _for_clips(task) if task.rows else _for_all(task.plan)

    def write(path: Path) -> None:
        save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, path)
        sealed.append(path)

    task.scratch.write(task.name, write)


def _for_all(plan: Plan) -> dict[str, Array]:
    """One piece for each level, composed on clips of another split: its numbers."""
    how = plan.settings.universal
    stand = stand_at(plan, how.fit_on)
    with_sound = np.flatnonzero(stand.clips.present["audio"])
    if not len(with_sound):
        raise UserError(f"{plan.shards}: no clip of the split {how.fit_on} has sound to compose on")
    rows, size = drawn(with_sound, how.clips, derive(plan.seed, "music")), plan.settings.search
    cuts = range(0, len(rows), size.batch_size)
    judges = [stand.judge(rows[first : first + size.batch_size]) for first in cuts]
    search = stand.search(judges, how.steps, shared=True)
    names = [[f"{UNIVERSAL} {number}"] for number in range(size.restarts)]
    found: dict[str, Array] = {}
    for snr_db, score in _composed(search, [stand.random(*name) for name in names], plan.snrs):
        parts = score._asdict().items()
        found |= {key(name, UNIVERSAL, snr_db): part.cpu().numpy() for name, part in parts}
    return found


def _composed(
    search: Search, starts: list[Score], snrs: tuple[float, ...]
) -> Iterator[tuple[float, Score]]:
    """A piece for each level; the search at a level begins where the quieter one ended."""
    first, *others = starts
    for snr_db in snrs:
        first = search.compose([first, *others], snr_db, beside=[starts[0]])
        yield snr_db, first


def _for_clips(task: Task) -> dict[str, Array]:
    """Music for each clip of the task, and how the clips score under all music."""
    plan, rows = task.plan, np.array(task.rows)
    stand = stand_at(plan, SPLIT)
    judge = stand.judge(rows)
    pcm = samples(judge.inputs["audio"])
    scene = Scene(stand, judge, pcm, stand.clips.present["audio"][rows])
    arrays = {CLEAN: scene.logits(pcm)}
    ids = [stand.clips.clip_ids[row] for row in task.rows]
    starts = [
        stand.random(*(f"{number} {clip}" for clip in ids))
        for number in range(plan.settings.search.restarts)
    ]
    composed: dict[str, Mapping[float, Score]] = {RANDOM: dict.fromkeys(plan.snrs, starts[0])}
    if PER_CLIP in task.kinds:
        search = stand.search([judge], plan.settings.search.steps, shared=False)
        composed[PER_CLIP] = dict(_composed(search, starts, plan.snrs))
    if UNIVERSAL in task.kinds:
        composed[UNIVERSAL] = _shared_piece(task, stand.device)
    places = [task.rows.index(row) for row in task.shown]
    for kind, scores in composed.items():
        for snr_db, score in scores.items():
            arrays |= scene.played(kind, snr_db, score, places)
    return arrays


def _shared_piece(task: Task, device: torch.device) -> dict[float, Score]:
    """The piece for all clips at each level, which was composed before."""
    arrays = replace(task, rows=()).read()
    return {
        snr_db: Score(
            *(torch.from_numpy(arrays[key(name, UNIVERSAL, snr_db)]) for name in Score._fields)
        ).to(device)
        for snr_db in task.plan.snrs
    }
