"""One chunk of eval clips: attacked with and without regard to codecs, then put through them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.numpy import load, save_file

from mmlib.batch import Batch, to_device
from mmlib.evaluation.attacked.domain import load_model
from mmlib.evaluation.attacked.frozen import frozen
from mmlib.evaluation.survival.attack import AWARE, PLAIN, UNTOUCHED, Arm, Attacker, Smooth
from mmlib.evaluation.survival.canvas import (
    Canvas,
    Reader,
    pictures_to_tensor,
    sound_to_tensor,
    to_pcm,
    to_pictures,
)
from mmlib.evaluation.survival.chain import AS_WRITTEN, Chain
from mmlib.evaluation.survival.transforms import Condition, Faced, conditions
from mmlib.media.ffmpeg import Limits
from mmlib.media.graph import Form
from mmlib.models import devices
from mmlib.models.base import Model
from mmlib.params.survival import SurvivalAttack, Trial
from mmlib.runtime import sealed
from mmlib.runtime.arrays import Array, Floats32
from mmlib.runtime.scratch import Scratch
from mmlib.runtime.seeds import derive
from mmlib.runtime.storage import reading
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import read_manifest

SPLIT = "eval"
CHUNK = 16
"""Clips a chunk: results do not depend on how many processes share them."""


@dataclass(frozen=True)
class Job:
    """What every chunk is put to: a run, under threats, as section survival says."""

    model: Path
    shards: Path
    media: Path
    attack: SurvivalAttack
    trial: Trial
    threats: tuple[str, ...]
    loss: str
    form: Form
    limits: Limits
    seed: int
    scratch: Scratch
    threads: int = 1

    @property
    def arms(self) -> list[Arm]:
        """All that is scored."""
        methods = self.attack.methods
        attacked = [Arm(t, m, r) for t in self.threats for m in methods for r in (PLAIN, AWARE)]
        return [UNTOUCHED, *attacked]


@dataclass(frozen=True)
class Chunk:
    """Clips at some places of the eval split."""

    number: int
    rows: tuple[int, ...]
    job: Job

    @property
    def name(self) -> str:
        """The name of its piece in scratch."""
        return f"{self.number:06d}.safetensors"

    def read(self) -> dict[str, Array]:
        """The logits (B, K) of each arm under each condition, by `Arm.key`."""
        path = self.job.scratch.path(self.name)
        with reading(path, "a chunk's progress"):
            return load(sealed.content(path))


class Loaded(NamedTuple):
    """What a process loads once for all its chunks."""

    split: ShardSet
    manifest: Mapping[str, Any]
    net: Model
    survive: list[Condition]
    score: list[Condition]
    device: torch.device


def survive_chunk(chunk: Chunk) -> None:
    """Attack the chunk's clips, put them through every condition, and keep what the run says."""
    job, at = chunk.job, _loaded(chunk.job)
    pictures = job.trial.pictures
    reader = Reader(
        job.media, at.manifest, job.form, job.limits, pictures.side, pictures.fps, job.threads
    )
    canvas = reader.read(at.split, np.array(chunk.rows))
    chain = Chain(at.manifest, job.form, job.limits, at.net.modalities, job.threads)
    read = {name: tensor for name, tensor in canvas.inputs().items() if _of(name, chain.reads)}
    inputs = to_device(read, at.device)
    model = frozen(at.net, chain.front({name: one[:1] for name, one in inputs.items()}))
    labels = torch.from_numpy(at.split.labels[list(chunk.rows)]).float().to(at.device)
    base = inputs if job.attack.gradient == "measured" else None
    faced = [Faced(condition, canvas, chain, base) for condition in at.survive]
    at_hand = Attacker(job.attack, job.loss, job.seed, model, canvas.clip_ids, inputs, labels)
    found: dict[str, Floats32] = {}
    points = inputs
    for arm in job.arms:
        if arm.regard == PLAIN:
            points = at_hand.attacked(arm, [Smooth(chain)])
        elif arm.regard == AWARE:
            # `points` are those of the plain attack, which stands before it.
            points = at_hand.attacked(arm, faced, points)
        for place, seen in enumerate(_seen(job, at.score, canvas, chain, points), start=-1):
            with torch.no_grad():
                logits = model(to_device(seen, at.device))
            found[arm.key(place)] = logits.float().cpu().numpy()
    _write(chunk, found)


def _seen(
    job: Job, scored: Sequence[Condition], canvas: Canvas, chain: Chain, points: Batch
) -> Iterator[Batch]:
    """What the nets see of the points: as they were written, then under each condition."""
    pcm, frames = canvas.written(points)
    yield chain.through(canvas, pcm, frames, AS_WRITTEN)
    for place, condition in enumerate(scored):
        if condition.quality is not None:
            yield chain.through(canvas, pcm, frames, condition.quality)
            continue
        seeds = [derive(job.seed, "survival", clip, "score", place) for clip in canvas.clip_ids]
        whole = {"audio": sound_to_tensor(pcm), "video": pictures_to_tensor(frames)}
        with torch.no_grad():
            heard = condition.changed(whole, seeds)
        yield chain.through(canvas, to_pcm(heard["audio"]), to_pictures(heard["video"]), AS_WRITTEN)


def _of(name: str, reads: Sequence[str]) -> bool:
    return name.removesuffix("_present") in reads


def _write(chunk: Chunk, arrays: Mapping[str, Floats32]) -> None:
    def write(path: Path) -> None:
        save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, path)
        sealed.append(path)

    chunk.job.scratch.write(chunk.name, write)


@lru_cache(maxsize=1)
def _loaded_once(
    model: Path, shards: Path, attack: SurvivalAttack, trial: Trial, rate_hz: int
) -> Loaded:
    device = devices.select_in_worker()
    net = load_model(model, device, shards, "waveform")
    survive, score = (
        conditions(listed, net.modalities, Path(trial.code), rate_hz)
        for listed in (attack.survive, trial.score)
    )
    return Loaded(ShardSet(shards, SPLIT), read_manifest(shards), net, survive, score, device)


def _loaded(job: Job) -> Loaded:
    return _loaded_once(job.model, job.shards, job.attack, job.trial, job.form.sample_rate_hz)
