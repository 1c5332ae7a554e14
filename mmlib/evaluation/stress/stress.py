"""Runs under corruptions, re-encoding and bad timing: the clips are spread over processes."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmlib.evaluation.stress.conditions import CONTAINERS, ENCODING, Condition, conditions
from mmlib.evaluation.stress.means import Origins
from mmlib.evaluation.stress.scores import Tables, score
from mmlib.evaluation.stress.work import CHUNK, SPLIT, Chunk, Job, stress_chunk
from mmlib.media import ffmpeg
from mmlib.media.ffmpeg import Limits
from mmlib.media.graph import Form
from mmlib.metrics.scores.common import drawn_of_scored
from mmlib.models import checkpoint, devices
from mmlib.params.decode import Decode
from mmlib.params.stress import Stress
from mmlib.runtime.arrays import Indices
from mmlib.runtime.errors import UserError
from mmlib.runtime.paths import checkpoint_files
from mmlib.runtime.phases import Phase
from mmlib.runtime.pieces import finish
from mmlib.runtime.scratch import Scratch, fingerprint
from mmlib.runtime.seeds import derive
from mmlib.runtime.workers import worker_count
from mmlib.shards.read.loader import ShardSet

_MOST_TOLD = 3


class Places(NamedTuple):
    """The folders of the fetched media, the shards and the checkpoints."""

    media: Path
    shards: Path
    models: Path


def measure(
    places: Places,
    runs: tuple[str, ...],
    settings: Stress,
    decode: Decode,
    seed: int,
    *,
    confidence: float,
    common_with: Path,
    origins: Origins,
    scratch_root: Path = Path("scratch"),
) -> Tables:
    """Score the runs on eval clips under every condition of the settings.

    Goes on from finished chunks after a kill; neither that nor the number of workers changes a
    result. `common_with` restricts the clips as section score does; `origins` says what each
    retrained run is compared with. UserError for runs of other classes, and where more than
    decode.max_failed_share of the clips cannot be encoded again.
    """
    split = ShardSet(places.shards, SPLIT)
    _check_classes(places, runs, split)
    rows = drawn_of_scored(
        np.array(split.clip_ids, np.str_),
        split.labels > 0,
        common_with,
        settings.clips,
        derive(seed, "stress"),
        "stress.clips",
    )
    scratch = Scratch("stress", _mark(places, runs, settings, decode, seed, rows), scratch_root)
    alone = devices.worker_processes()
    job = Job(
        places.shards,
        places.media,
        places.models,
        runs,
        settings,
        Form(decode.sample_rate_hz, decode.fps, decode.size),
        Limits(decode.max_pixels, decode.max_seconds, decode.timeout_s, decode.memory_mb),
        seed,
        scratch,
        worker_count() if alone else 1,
    )
    chunks = _chunks(rows, job)
    phase = Phase(chunks, lambda place: chunks[place].finished)
    finish(stress_chunk, [phase], scratch, label="stress", workers=alone, device=True)
    listed = conditions(settings)
    _tell_failures(chunks, listed, decode.max_failed_share)
    tables = score(chunks, split, listed, confidence=confidence, origins=origins)
    scratch.finish()
    return tables


def _chunks(rows: Indices, job: Job) -> list[Chunk]:
    parts = [rows[first : first + CHUNK] for first in range(0, len(rows), CHUNK)]
    return [Chunk(number, tuple(part.tolist()), job) for number, part in enumerate(parts)]


def _check_classes(places: Places, runs: tuple[str, ...], split: ShardSet) -> None:
    for run in runs:
        model = places.models / run
        description = checkpoint.read_description(model)
        checkpoint.check_classes(model, description, split.classes, places.shards)


def _mark(
    places: Places,
    runs: tuple[str, ...],
    settings: Stress,
    decode: Decode,
    seed: int,
    rows: Indices,
) -> str:
    inputs = [places.shards / "manifest.json", *sorted(places.shards.glob(f"{SPLIT}-*.parquet"))]
    weights = [file for run in runs for file in checkpoint_files(places.models / run)]
    encodes = any(condition.family == ENCODING for condition in conditions(settings))
    media = sorted(places.media.glob(f"{SPLIT}-*.parquet")) if encodes else []
    named: list[Any] = [settings, decode, seed, list(runs), rows.tolist(), ffmpeg.version()]
    return fingerprint(*named, *inputs, *weights, *media)


def _tell_failures(chunks: list[Chunk], listed: list[Condition], most: float) -> None:
    """Say which clips could not be encoded again; UserError where they are too many."""
    if not any(condition.kind in CONTAINERS for condition in listed):
        return
    told = [
        line
        for chunk in chunks
        for line in chunk.read("facts")["failures"].tobytes().decode().splitlines()
    ]
    count = sum(len(chunk.rows) for chunk in chunks)
    if not told:
        return
    what = f"{len(told)} of {count} clips cannot be encoded again ({told[0]}"
    if len(told) > most * count:
        raise UserError(
            f"{what}), more than decode.max_failed_share={most:g} allows; raise it, or set "
            "stress.encodings to empty lists"
        )
    print(f"stress: {what}); they are scored as they were", file=sys.stderr)
    for line in told[1:_MOST_TOLD]:
        print(f"stress: {line}", file=sys.stderr)


def origins_of(retrain: Mapping[str, Mapping[str, Any]], runs: tuple[str, ...]) -> Origins:
    """What each retrained run among `runs` is compared with: its start, and plain retraining.

    Run -> the runs beside it, of those that are scored too.
    """
    plain = {
        row["init"]: name
        for name, row in retrain.items()
        if row.get("method") == "plain" and name in runs
    }
    found: dict[str, tuple[str, ...]] = {}
    for name, row in retrain.items():
        others = dict.fromkeys((row["init"], plain.get(row["init"])))
        beside = tuple(other for other in others if other in runs and other != name)
        if name in runs and beside:
            found[name] = beside
    return found
