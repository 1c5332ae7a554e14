"""The decoded shards surveyed: the ledger's rows so far with hashes, and all clips as columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmlib.runtime import parquet
from mmlib.runtime.arrays import Bools, Ints, Ints8, Ints32
from mmlib.runtime.errors import UserError
from mmlib.runtime.parquet import read_parquet
from mmlib.shards.make.leaks.hashes import (
    pack,
    picture_hash,
    sound_hash,
)
from mmlib.shards.rows.clips import (
    FAILED,
    OK,
    SPLITS,
    DecodedClip,
    Vocabulary,
    read_decoded,
)
from mmlib.shards.rows.ledger import LEDGER_SCHEMA

_GROUP_ROWS = 256
_COLUMNS = ["clip_id", "source_id", "split", "status", "sha256", "audio_present", "video_present"]


def write_survey(decoded: Path, path: Path) -> None:
    """Survey one decoded shard, a few clips in memory at a time."""
    with parquet.writer(path, LEDGER_SCHEMA, compression="none") as writer:
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


@dataclass(frozen=True)
class Listed:
    """All clips, N in the order of the ledger: ids as Arrow strings, masks and codes as arrays.

    `splits` are places in SPLITS; clip i has `labels[label_ends[i - 1] : label_ends[i]]`, places in
    the class list. A survey file holds the clips up to each of `ends`.
    """

    surveys: Sequence[Path]
    ends: Ints
    clip_ids: pa.ChunkedArray
    source_ids: pa.ChunkedArray
    sha256: pa.ChunkedArray
    splits: Ints8
    ok: Bools
    present: dict[str, Bools]
    labels: Ints32
    label_ends: Ints


def read_list(surveys: Sequence[Path], vocabulary: Vocabulary) -> Listed:
    """Read the surveys' rows, without their hashes; UserError for an id that is there twice."""
    tables, places, counts = [], [], []
    classes = pa.array(vocabulary.classes, pa.string())
    for path in surveys:
        table = read_parquet(path, [*_COLUMNS, "labels"])
        labels = table["labels"].combine_chunks()
        codes = pc.index_in(labels.flatten(), classes)
        if codes.null_count:
            raise UserError(f"{path}: a label that classes.json does not list; run `dvc repro -f`")
        places.append(codes.to_numpy(zero_copy_only=False).astype(np.int32))
        counts.append(pc.list_value_length(labels).to_numpy(zero_copy_only=False))
        tables.append(table.select(_COLUMNS))
    table = pa.concat_tables(tables)
    _refuse_repeated(table["clip_id"])
    return Listed(
        surveys,
        np.cumsum([len(table) for table in tables]),
        table["clip_id"],
        table["source_id"],
        table["sha256"],
        _places(table["split"], SPLITS),
        _mask(pc.equal(table["status"], OK)),
        {name: _mask(table[f"{name}_present"]) for name in ("audio", "video")},
        np.concatenate(places),
        np.cumsum(np.concatenate(counts), dtype=np.int64),
    )


def _mask(column: pa.ChunkedArray) -> Bools:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.bool_)


def _places(column: pa.ChunkedArray, names: Sequence[str]) -> Ints8:
    return np.asarray(pc.index_in(column, pa.array(names)).to_numpy(), np.int8)


def _refuse_repeated(clip_ids: pa.ChunkedArray) -> None:
    counts = clip_ids.value_counts()
    again = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(again):
        name = again.field("values")[0]
        raise UserError(f"clip id {name} occurs twice: every clip needs its own")
