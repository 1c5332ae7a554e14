"""Nets, clips and stored scores of the demo's size and settings, without its training or media."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mmlib.attacks.core.threat import Threat
from mmlib.batch import Batch, Forward
from mmlib.evaluation.attacked.budgets import shapes_of, threat_at
from mmlib.evaluation.attacked.frozen import frozen
from mmlib.metrics.stored import CLEAN, NOISE, AttackScores, Condition
from mmlib.models.base import Model
from mmlib.models.build import architecture, build
from mmlib.params.whole.file import load
from mmlib.runtime.arrays import Bools, Floats32
from mmlib.threats import THREATS, threat_on
from tests.conftest import ROOT
from tests.fake_run import packed, save

PARAMS = load(ROOT / "params.yaml")
ATTACK, CHECKS = PARAMS.attack, PARAMS.checks
CLIPS = 200
CLASSES = 40
PREVALENCE = 0.06
FRAMES, BANDS = 50, PARAMS.shard.mel.bands
VIDEO = (PARAMS.shard.video.frames, PARAMS.shard.video.size, PARAMS.shard.video.size)


@cache
def labels() -> Bools:
    """(CLIPS, CLASSES), every class with about as many positives."""
    rng = np.random.default_rng(1)
    return rng.permuted(
        np.arange(CLIPS)[:, None] < np.full((1, CLASSES), round(PREVALENCE * CLIPS)), axis=0
    )


@cache
def inputs(clips: int = CLIPS) -> Batch:
    """Smooth random spectrograms and pictures, in steps of what shards store."""
    generator = torch.Generator().manual_seed(0)
    audio = torch.rand(clips, 1, 6, 8, generator=generator)
    video = torch.rand(clips, 3, 2, 5, 5, generator=generator)
    audio = interpolate(audio, (FRAMES, BANDS), mode="bilinear")[:, 0]
    video = interpolate(video, VIDEO, mode="trilinear")
    grain = 0.05 * torch.randn(audio.shape, generator=generator)
    return {
        "audio": (1.6 * audio - 0.3 + grain).clamp(0, 1).half().float(),
        "video": ((1.6 * video - 0.3).clamp(0, 1) * 255).round() / 255,
    }


def few(clips: int) -> Batch:
    """The first of the clips."""
    return {name: value[:clips] for name, value in inputs().items()}


@cache
def net(run: str) -> Model:
    """See `fresh`: one for all who leave it as it is."""
    return fresh(run)


def fresh(run: str, seed: int = 0) -> Model:
    """A run of the demo with random weights, its batch norms and its head fitted to the clips.

    Logits have the demo's scale: a standard deviation of 2 about the log odds of a class.
    """
    frames, height, width = VIDEO
    shapes: dict[str, dict[str, Any]] = {
        "audio": {"frames": FRAMES, "bands": BANDS, "mean": [0.5] * BANDS, "std": [0.3] * BANDS},
        "video": {
            "frames": frames, "height": height, "width": width, "mean": [0.5] * 3, "std": [0.3] * 3,
        },
    }  # fmt: skip
    model = build(architecture(PARAMS.train[run], PARAMS.model), CLASSES, shapes, seed=seed)
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    model.eval()
    for norm in norms:
        norm.train()
    with torch.no_grad():
        model(few(64))
        logits = model.eval()(few(64))
        model.head.weight.mul_(2 / logits.std(0)[:, None])
        model.head.bias.sub_(logits.mean(0)).mul_(2 / logits.std(0))
        model.head.bias.add_(float(np.log(PREVALENCE / (1 - PREVALENCE))))
    return model.requires_grad_(False)


@cache
def attacked_net(run: str) -> Forward:
    """The same as attacks see it."""
    return frozen(net(run), few(1))


@cache
def tags(run: str) -> Tensor:
    """Labels (CLIPS, CLASSES) that the run gets about right: what stands highest, in part."""
    with torch.no_grad():
        logits = net(run)(inputs())
    noise = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2))
    places = (logits / 2 + 0.5 * noise).argsort(0, descending=True).argsort(0)
    ranked: Tensor = (places < round(PREVALENCE * CLIPS)).float()
    return ranked


def threat(run: str) -> Threat:
    """The widest threat on the run at the headline budget."""
    name = threat_on(net(run).modalities)
    return threat_at(name, ATTACK, 1.0, shapes_of(few(1)))


def scores(damage: float, noise: int = 0) -> Floats32:
    """Logits (CLIPS, CLASSES): mAP 0.6 without damage, half of it at 1, below prevalence at 5."""
    rng = np.random.default_rng(3)
    clean = rng.standard_normal((CLIPS, CLASSES)) + 2.6 * labels()
    moved = 0.02 * np.random.default_rng([4, noise]).standard_normal((CLIPS, CLASSES))
    logits: Floats32 = (clean + min(damage, 5) * (0.2 - labels()) + (noise > 0) * moved).astype(
        np.float32
    )
    return logits


Stored = dict[Condition, Floats32]


def sound_sweep() -> Stored:
    """What a working attack stores of a fused run: every threat and budget, and noise."""
    stored = {Condition(CLEAN, CLEAN, 0.0): scores(0.0)}
    weight = {"A": 0.7, "V": 0.5, "AV": 1.0}
    for threat_name in THREATS:
        for place, multiple in enumerate(ATTACK.sweep, start=1):
            damage = weight[threat_name] * multiple
            stored[Condition(threat_name, "pgd", multiple)] = scores(damage)
            stored[Condition(threat_name, NOISE, multiple)] = scores(0.0, noise=place)
    return stored


def write_sweep(path: Path, stored: Stored, *, over: float = 1.0) -> AttackScores:
    """Write it as stage attack does; the norm of one clip's video at the headline is `over` eps."""
    names = list(stored)
    ids = [f"clip-{row:03d}" for row in range(CLIPS)]
    spent = np.repeat([ATTACK.eps * name.multiple for name in names], CLIPS)
    video = spent.copy()
    video[CLIPS * names.index(Condition("AV", "pgd", 1.0)) + 7] *= over
    columns = {
        "clip_id": ids * len(names),
        "threat": np.repeat([name.threat for name in names], CLIPS),
        "attack": np.repeat([name.attack for name in names], CLIPS),
        "eps": pa.array(spent, pa.float64()),
        "multiple": np.repeat([name.multiple for name in names], CLIPS),
        "norm_audio": spent,
        "norm_video": video,
        "scores": packed(np.concatenate([stored[name] for name in names])),
    }
    details = {
        "classes": [f"class {n}" for n in range(CLASSES)],
        "task": "multi_label",
        "run": "mid",
        "eps": ATTACK.eps,
        "threats": list(THREATS),
    }
    save(path, columns, details)
    return AttackScores(path)
