"""Media files cut to clips as the pipeline cuts them, and where the fetched ones are."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmlib.features import clip_frames
from mmlib.media.decode import Decoded, decode
from mmlib.media.ffmpeg import Limits
from mmlib.media.graph import Form
from mmlib.runtime.arrays import Bytes, Ints16
from mmlib.runtime.errors import UserError
from mmlib.runtime.parquet import Reader
from mmlib.shards.read import jpeg
from mmlib.shards.rows.clips import shard_paths

_COLUMNS = ("clip_id", "media", "path", "start_s", "end_s")
Row = Mapping[str, Any]
Tracks = dict[str, Ints16 | Bytes]
"""`audio` (N,) int16 and `video` (T, H, W, 3) uint8 of one clip, those that its file has."""


def cut(file: bytes, manifest: Mapping[str, Any], form: Form, limits: Limits) -> Tracks:
    """Decode a file as stage decode does, and cut its tracks as stage shard did.

    `manifest` is that of the shards, `form` what stage decode decodes to. MediaError as `decode`.
    """
    decoded = decode(file, form, limits)
    found: Tracks = {}
    if decoded.pcm is not None:
        found["audio"] = cut_sound(decoded.pcm, manifest)
    if decoded.frames is not None:
        found["video"] = _cut_pictures(decoded, manifest, form)
    return found


def cut_sound(pcm: Ints16, manifest: Mapping[str, Any]) -> Ints16:
    """Samples cut to the clip's length, or followed by silence up to it."""
    mel = manifest["mel"]
    kept = pcm[: mel["frames"] * mel["hop"]]
    return np.pad(kept, (0, mel["frames"] * mel["hop"] - len(kept)))


def _cut_pictures(decoded: Decoded, manifest: Mapping[str, Any], form: Form) -> Bytes:
    video, frames = manifest["video"], decoded.frames
    assert frames is not None
    pictures = clip_frames(
        frames,
        np.arange(len(frames), dtype=np.float32) / np.float32(form.fps),
        seconds=manifest["seconds"],
        count=video["frames"],
        size=video["height"],
        rate_hz=video.get("rate_hz"),
    )
    if quality := video.get("jpeg_quality"):
        pictures = jpeg.decode([jpeg.encode(pictures, quality)], [""], pictures.shape)[0]
    return pictures


def stored_media(folder: Path, clip_ids: Collection[str]) -> dict[str, Row]:
    """The rows of data/clips of these eval clips, by id; only the row groups that hold them."""
    found: dict[str, Row] = {}
    for path in shard_paths(folder):
        if not path.name.startswith("eval-"):
            continue
        file = Reader(path, "a shard of clips")
        for group in range(len(file.sizes)):
            names = file.read(["clip_id"], [group])["clip_id"].to_pylist()
            if not set(names).isdisjoint(clip_ids):
                rows = file.read(_COLUMNS, [group]).to_pylist()
                found |= {row["clip_id"]: row for row in rows if row["clip_id"] in clip_ids}
    if lost := set(clip_ids) - found.keys():
        raise UserError(f"{folder}: no clip {min(lost)!r}, which data/shards holds; `dvc repro`")
    return found
