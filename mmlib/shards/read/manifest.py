"""manifest.json: which clips the shards hold, which were left out, and train's normalisation."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmlib.runtime.errors import UserError
from mmlib.runtime.storage import read_json

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
