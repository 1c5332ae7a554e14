"""manifest.json: which clips the shards hold, which were left out, and train's normalisation."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmlib.runtime.errors import UserError

MANIFEST_NAME = "manifest.json"
_KEYS = {"classes", "task", "mel", "audio", "video", "clips", "failed"}


def ids_hash(clip_ids: Sequence[str]) -> str:
    """SHA-256 of the sorted clip ids, one a line: names the set that a number was computed on."""
    return hashlib.sha256("\n".join(sorted(clip_ids)).encode()).hexdigest()


def read_manifest(root: Path) -> dict[str, Any]:
    """Read the manifest of the shards in `root`; UserError when it is absent or not one."""
    path = root / MANIFEST_NAME
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if missing := _KEYS - set(manifest):
            raise ValueError(f"no key {min(missing)!r}")
    except FileNotFoundError:
        raise UserError(f"no {path}: run `dvc repro`, which makes it") from None
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: not a manifest ({error}); run `dvc repro -f shard`") from None
    return manifest
