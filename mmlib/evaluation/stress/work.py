"""One chunk of the eval split under every condition, by every run, in one process."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save_file

from mmlib.evaluation.attacked.domain import front_end
from mmlib.evaluation.mixing import snr_db
from mmlib.evaluation.stress import timing
from mmlib.evaluation.stress.clips import Altered, Clips, read_clips
from mmlib.evaluation.stress.conditions import (
    CORRUPTION,
    ENCODING,
    Condition,
    conditions,
    ladder,
)
from mmlib.evaluation.stress.corrupt import corrupted
from mmlib.evaluation.stress.corruptions.pixels import psnr_db
from mmlib.evaluation.stress.encode import Recoder
from mmlib.evaluation.stress.nets import Nets
from mmlib.media.ffmpeg import Limits
from mmlib.media.graph import Form
from mmlib.models import devices
from mmlib.params.stress import Stress
from mmlib.runtime import sealed
from mmlib.runtime.arrays import Array, Floats, Floats32
from mmlib.runtime.scratch import Scratch
from mmlib.runtime.storage import reading
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import read_manifest
from mmlib.threats import MODALITIES

SPLIT = "eval"
CHUNK = 16
"""Clips a chunk: results do not depend on how many processes share them."""
MEASURED: Mapping[str, Callable[[Any, Any], float]] = {"audio": snr_db, "video": psnr_db}


@dataclass(frozen=True)
class Job:
    """What every chunk is put to: the runs of a folder of checkpoints, under all conditions."""

    shards: Path
    media: Path
    models: Path
    runs: tuple[str, ...]
    settings: Stress
    form: Form
    limits: Limits
    seed: int
    scratch: Scratch
    threads: int = 1


@dataclass(frozen=True)
class Chunk:
    """Clips at some places of the eval split."""

    number: int
    rows: tuple[int, ...]
    job: Job

    @property
    def finished(self) -> bool:
        """Tell whether all of it is in scratch."""
        return self.job.scratch.has(self.name("facts"))

    def name(self, what: str) -> str:
        """The name in scratch of a run's scores, or of the facts."""
        return f"{self.number:06d}-{what}.safetensors"

    def read(self, what: str) -> dict[str, Array]:
        """What was written under this name."""
        path = self.job.scratch.path(self.name(what))
        with reading(path, "a chunk's progress"):
            return load(sealed.content(path))


@dataclass
class Facts:
    """What became of the clips: per condition the dB of each changed clip, nan of the others."""

    levels: dict[str, list[Floats]] = field(default_factory=lambda: {m: [] for m in MODALITIES})
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, clips: Clips, altered: Altered) -> None:
        """Note one condition; 1 stands for a change that no ratio describes."""
        described = altered.condition.family in (CORRUPTION, ENCODING)
        tracks: dict[str, tuple[Array, Array | None]] = {
            "audio": (clips.pcm, altered.pcm),
            "video": (clips.frames, altered.frames),
        }
        for name, (before, after) in tracks.items():
            level = np.full(len(clips), np.nan)
            for place in np.flatnonzero(altered.changed.get(name, ())):
                level[place] = 1.0
                if described and after is not None:
                    level[place] = MEASURED[name](before[place], after[place])
            self.levels[name].append(level)


def key(place: int, threat: str) -> str:
    """Under which a run's scores of a condition are kept; the clean ones are at place -1."""
    return f"{place} {threat}"


def stress_chunk(chunk: Chunk) -> None:
    """Score the chunk's clips under every condition by every run, and keep it in scratch."""
    job = chunk.job
    split, manifest = ShardSet(job.shards, SPLIT), read_manifest(job.shards)
    clips = read_clips(split, manifest, np.array(chunk.rows))
    recoder = Recoder(job.media, manifest, job.form, job.limits, job.threads)
    heard = _nets(job.models, job.runs, job.shards).on(clips)
    scores: dict[str, dict[str, Floats32]] = {
        run: {key(-1, "clean"): found} for run, found in heard.clean_scores().items()
    }
    facts = Facts()
    for place, altered in enumerate(_altered(clips, job, split, recoder, facts.failures)):
        facts.add(clips, altered)
        for run, threat, found in heard.scores(altered):
            scores[run][key(place, threat)] = found
    for run, own in scores.items():
        _write(chunk, run, dict(own))
    told = [f"{clip}: {why}" for clip, why in facts.failures.items()]
    levels = {name: np.stack(rows) for name, rows in facts.levels.items()}
    failures = np.frombuffer("\n".join(told).encode(), np.uint8)
    _write(chunk, "facts", {**levels, "failures": failures})


def _altered(
    clips: Clips, job: Job, split: ShardSet, recoder: Recoder, failures: dict[str, str]
) -> Iterator[Altered]:
    """The clips under all conditions, in their order."""
    listed = conditions(job.settings)
    for (family, kind), group in groupby(listed, key=lambda one: (one.family, one.kind)):
        members: Sequence[Condition] = list(group)
        if family == CORRUPTION:
            yield from corrupted(clips, members, job.seed)
        elif family == ENCODING:
            rungs = ladder(job.settings.encodings, kind)
            yield from recoder.encoded(clips, members, rungs, failures)
        else:
            for condition in members:
                yield from timing.altered(clips, condition, split, job.seed)


def _write(chunk: Chunk, what: str, arrays: dict[str, Array]) -> None:
    def write(path: Path) -> None:
        save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, path)
        sealed.append(path)

    chunk.job.scratch.write(chunk.name(what), write)


@lru_cache(maxsize=1)
def _nets(models: Path, runs: tuple[str, ...], shards: Path) -> Nets:
    """The runs, loaded once a process."""
    return Nets.load(models, runs, front_end(shards), devices.select_in_worker())
