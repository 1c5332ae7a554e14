"""Architectures, manifests and batches for tests of models."""

from typing import Any

import torch

from mmlib.batch import Batch
from mmlib.models.base import Model
from mmlib.models.build import build

SMALL_CSN = {
    "name": "csn",
    "width": 2,
    "transformer_blocks": 2,
    "share_blocks": False,
    "dropout": 0.2,
}
SMALL_CNN14 = {"name": "cnn14", "width": 2, "dropout": 0.2}
SMALL_R2PLUS1D = {"name": "r2plus1d", "width": 4, "blocks": [1, 1, 1, 1]}

PAPER_CSN = {**SMALL_CSN, "width": 32}
PAPER_CNN14 = {**SMALL_CNN14, "width": 64}
PAPER_R2PLUS1D = {"name": "r2plus1d", "width": 64, "blocks": [2, 2, 2, 2]}

FUSIONS = ("mid", "sum", "gated", "late", "early")


def manifest(
    frames: int = 36, bands: int = 32, pictures: int = 4, side: int = 16
) -> dict[str, Any]:
    """What the shards say of their inputs."""
    return {
        "audio": {"frames": frames, "bands": bands, "mean": [0.4] * bands, "std": [0.2] * bands},
        "video": {
            "frames": pictures,
            "height": side,
            "width": side,
            "mean": [0.5, 0.4, 0.3],
            "std": [0.2, 0.3, 0.25],
        },
    }


def describe(
    audio: dict[str, Any] | None = None,
    video: dict[str, Any] | None = None,
    fusion: str | None = None,
    heads: bool = False,
    hidden: int = 24,
) -> dict[str, Any]:
    """An architecture as `build` takes it."""
    join = {"name": fusion, "hidden": hidden, "dropout": 0.2} if fusion else None
    return {"audio": audio, "video": video, "fusion": join, "heads": heads}


def small(fusion: str | None = "mid", *, heads: bool = False, modality: str = "") -> Model:
    """A model of a few thousand parameters for five classes."""
    audio = SMALL_CSN if modality != "video" else None
    video = SMALL_R2PLUS1D if modality != "audio" else None
    return build(describe(audio, video, None if modality else fusion, heads), 5, manifest())


def clips(count: int, shapes: dict[str, Any] | None = None, seed: int = 0) -> Batch:
    """Random clips as a loader yields them: video laid out B, T, H, W, C."""
    shapes = shapes or manifest()
    audio, video = shapes["audio"], shapes["video"]
    generator = torch.Generator().manual_seed(seed)
    sides = video["frames"], video["height"], video["width"]
    return {
        "audio": torch.rand(count, audio["frames"], audio["bands"], generator=generator),
        "video": torch.rand(count, *sides, 3, generator=generator).permute(0, 4, 1, 2, 3),
    }


def parameter_count(module: torch.nn.Module) -> int:
    """Number of trainable values."""
    return sum(parameter.numel() for parameter in module.parameters())
