"""manifest.json: which clips the shards hold, which were left out, and train's normalisation."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmlib.runtime.errors import UserError
from mmlib.runtime.storage import read_json
from mmlib.shards.read.format import ShardReader

MANIFEST_NAME = "manifest.json"
_KEYS = {"classes", "task", "mel", "audio", "video", "clips", "failed"}


def ids_hash(clip_ids: Sequence[str]) -> str:
    """SHA-256 of the sorted clip ids, one a line: names the set that a number was computed on."""
    return hashlib.sha256("\n".join(sorted(clip_ids)).encode()).hexdigest()


def filled_splits(root: Path) -> list[str]:
    """The splits that have clips: all, but where nothing need be trained; UserError as below."""
    clips = read_manifest(root)["clips"]
    return [split for split in clips if clips[split]["files"]]


def read_manifest(root: Path) -> dict[str, Any]:
    """Read the manifest of the shards in `root`; UserError when it is absent or not one."""
    path = root / MANIFEST_NAME
    manifest = read_json(path, "run `dvc repro -f shard`")
    if missing := _KEYS - set(manifest):
        raise UserError(
            f"{path}: not a manifest (no key {min(missing)!r}); run `dvc repro -f shard`"
        )
    return manifest


def check_layout(reader: ShardReader, split: str, manifest: dict[str, Any]) -> None:
    """UserError unless a shard of the split holds what the manifest says."""
    audio, video, layout = manifest["audio"], manifest["video"], reader.layout
    expected = (
        (split, tuple(manifest["classes"]), manifest["task"]),
        (audio["frames"], audio["bands"]),
        (video["frames"], video["height"], video["width"], 3),
        video.get("jpeg_quality"),
    )
    found = (
        (layout.split, layout.classes, layout.task),
        layout.log_mel.shape,
        layout.frames.shape,
        layout.jpeg_quality,
    )
    if found != expected:
        raise UserError(
            f"{reader.path}: of another run than {MANIFEST_NAME}; run `dvc repro -f shard`"
        )
