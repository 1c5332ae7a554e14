"""A run under attacks that are to survive encoding: clips spread over processes, then scored."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmlib.evaluation.attacked.budgets import threats_met
from mmlib.evaluation.survival.table import Scored, score_arms
from mmlib.evaluation.survival.transforms import conditions
from mmlib.evaluation.survival.work import CHUNK, SPLIT, Chunk, Job, survive_chunk
from mmlib.media import ffmpeg
from mmlib.media.ffmpeg import Limits
from mmlib.media.graph import Form
from mmlib.metrics.scores.common import drawn_of_scored
from mmlib.models import checkpoint, devices
from mmlib.params.decode import Decode
from mmlib.params.score import Score
from mmlib.params.survival import SurvivalAttack, SurvivalRun, Trial
from mmlib.runtime import pieces
from mmlib.runtime.arrays import Array, Indices
from mmlib.runtime.errors import UserError
from mmlib.runtime.paths import checkpoint_files
from mmlib.runtime.phases import Phase
from mmlib.runtime.scratch import Scratch, fingerprint
from mmlib.runtime.seeds import derive
from mmlib.runtime.workers import worker_count
from mmlib.shards.read.loader import ShardSet


class Places(NamedTuple):
    """The folders of the fetched media and of the shards, and a checkpoint without suffix."""

    media: Path
    shards: Path
    model: Path


def measure(
    places: Places,
    wanted: SurvivalRun,
    attack: SurvivalAttack,
    trial: Trial,
    decode: Decode,
    loss: str,
    score: Score,
    seed: int,
    *,
    scratch_root: Path = Path("scratch"),
) -> Scored:
    """Attack the run on eval clips, encode what comes out, and score it.

    Goes on from finished chunks after a kill; neither that nor the number of workers changes a
    result. UserError where the run has other classes, cannot meet a threat of its row or reads
    nothing that is changed, and where a clip cannot be encoded.
    """
    split = ShardSet(places.shards, SPLIT)
    description = checkpoint.read_description(places.model)
    checkpoint.check_classes(places.model, description, split.classes, places.shards)
    reads = tuple(description["inputs"])
    threats = tuple(threats_met(wanted.threats, reads, f"survival.runs.{places.model.name}"))
    scored = _conditions(attack, trial, reads, places.model.name, decode.sample_rate_hz)
    rows = drawn_of_scored(
        np.array(split.clip_ids, np.str_),
        split.labels > 0,
        Path(score.common_with),
        trial.clips,
        derive(seed, "survival"),
        "survival.trial.clips",
    )
    named = [wanted, attack, trial, decode, loss, seed, rows.tolist(), ffmpeg.version()]
    mark = fingerprint(*named, *_files(places), Path(trial.code))
    scratch = Scratch(f"survival-{places.model.name}", mark, scratch_root)
    alone = devices.worker_processes()
    job = Job(
        places.model,
        places.shards,
        places.media,
        attack,
        trial,
        threats,
        loss,
        *_read_as(decode),
        seed,
        scratch,
        worker_count() if alone else 1,
    )
    said = _logits(job, rows, alone)
    recordings, labels = np.array(split.source_ids, np.str_)[rows], split.labels[rows] > 0
    result = score_arms(job.arms, scored, said, labels, recordings, split.task, score.confidence)
    scratch.finish()
    return result


def _read_as(decode: Decode) -> tuple[Form, Limits]:
    """What stage decode makes of a file, and what it may cost."""
    form = Form(decode.sample_rate_hz, decode.fps, decode.size)
    return form, Limits(decode.max_pixels, decode.max_seconds, decode.timeout_s, decode.memory_mb)


def _files(places: Places) -> list[Path]:
    """What is read, but for params."""
    return [
        places.shards / "manifest.json",
        *sorted(places.shards.glob(f"{SPLIT}-*.parquet")),
        *sorted(places.media.glob(f"{SPLIT}-*.parquet")),
        *checkpoint_files(places.model),
    ]


def _logits(job: Job, rows: Indices, workers: int | None) -> dict[str, Array]:
    """The logits (N, K) of the clips at these places, by `Arm.key`."""
    parts = [rows[first : first + CHUNK] for first in range(0, len(rows), CHUNK)]
    chunks = [Chunk(number, tuple(part.tolist()), job) for number, part in enumerate(parts)]
    pieces.finish(
        survive_chunk,
        [Phase(chunks, lambda place: job.scratch.has(chunks[place].name))],
        job.scratch,
        label=f"survival {job.model.name}",
        workers=workers,
    )
    found = [chunk.read() for chunk in chunks]
    return {key: np.concatenate([piece[key] for piece in found]) for key in found[0]}


def _conditions(
    attack: SurvivalAttack, trial: Trial, reads: tuple[str, ...], run: str, rate_hz: int
) -> list[tuple[str, str]]:
    """Kind and level of what is scored; UserError where nothing is, or nothing to survive."""
    for key, listed in (("attack.survive", attack.survive), ("trial.score", trial.score)):
        found = conditions(listed, reads, Path(trial.code), rate_hz)
        if not found:
            raise UserError(
                f"survival.{key} holds nothing that changes what run {run} reads, which is "
                f"{' and '.join(reads)}"
            )
    return [(each.kind, each.level) for each in found]
