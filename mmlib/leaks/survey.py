"""The ledger's rows as far as stage decode knows them, with the hashes of what it decoded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmlib.clips import FAILED, DecodedClip, read_decoded
from mmlib.leaks.hashes import pack, picture_hash, sound_hash
from mmlib.ledger import DAMAGED
from mmlib.outcomes import LEDGER_SCHEMA

_GROUP_ROWS = 256


def write_survey(decoded: Path, path: Path) -> None:
    """Survey one decoded shard, a few clips in memory at a time."""
    with pq.ParquetWriter(path, LEDGER_SCHEMA, compression="none") as writer:
        rows: list[dict[str, Any]] = []
        for row in _rows(decoded):
            rows.append(row)
            if len(rows) == _GROUP_ROWS:
                writer.write_table(pa.Table.from_pylist(rows, LEDGER_SCHEMA))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, LEDGER_SCHEMA))


def _rows(decoded: Path) -> Iterator[dict[str, Any]]:
    for clip in read_decoded(decoded):
        sound = clip.pcm if clip.status != FAILED and clip.audio_present else None
        seen = clip.status != FAILED and clip.video_present
        yield {
            **{name: getattr(clip, name, None) for name in LEDGER_SCHEMA.names},
            # A clip that was never fetched has no content to hash.
            "stage": None if clip.status != FAILED else "decode" if clip.sha256 else "download",
            "damaged": clip.status != FAILED and (clip.message or "").startswith(DAMAGED),
            "sound_hash": None if sound is None else _sound(sound, clip.sample_rate_hz),
            "picture_hash": _picture(clip) if seen else None,
        }


def _sound(pcm: bytes, rate_hz: int) -> bytes:
    return pack(sound_hash(np.frombuffer(pcm, "<i2"), rate_hz))


def _picture(clip: DecodedClip) -> bytes | None:
    frames = np.frombuffer(clip.frames or b"", np.uint8)
    shape = (clip.frame_count, clip.height, clip.width, 3)
    if frames.size != np.prod(shape):
        return None  # told about where the clip is made part of a shard
    return pack(picture_hash(frames.reshape(shape), clip.fps))
