"""The ledger: a row for every clip that was asked for, with what became of it.

Stage shard writes it beside the shards, and metrics/eval_clips.csv, the manifest of the evaluation
as plain text. Rows stand in the order of the list, one split after another.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmlib.runtime import parquet
from mmlib.runtime.errors import UserError
from mmlib.runtime.lists import Row, RowError, read_list
from mmlib.runtime.scratch import publish_csv
from mmlib.runtime.sealed import CHECK, is_marked, require_seal
from mmlib.runtime.storage import csv_text, reading
from mmlib.shards.rows.clips import (
    FAILED,
    OK,
)

LEDGER_NAME = "ledger.parquet"
DROPPED = "dropped"
STATUSES = (OK, FAILED, DROPPED)
MANIFEST_HEADS = ("clip_id", "status", "error")
# Perceptual hashes of the first seconds (see make/leaks/hashes.py): 64 steps of a sound's code, and
# vectors of so many rows and columns.
SOUND_STEPS = 64
SOUND_VECTOR = (16, 8)
PICTURE_VECTOR = (1, 63)
PICTURE_CHANGES = (5, 143)
SOUND = np.dtype(
    [("vector", "<f2", SOUND_VECTOR), ("code", "<u4", SOUND_STEPS), ("mask", "<u4", SOUND_STEPS)]
)
PICTURE = np.dtype([("vector", "<f2", PICTURE_VECTOR), ("changes", "i1", PICTURE_CHANGES)])
"""How hashes are stored: 768 bytes of sound, 841 of pictures."""

LEDGER_SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("labels", pa.list_(pa.string()), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("stage", pa.string()),
        pa.field("error", pa.string()),
        pa.field("message", pa.string()),
        pa.field("attempts", pa.int32(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("sha256", pa.string()),
        pa.field("audio_s", pa.float64()),
        pa.field("video_s", pa.float64()),
        pa.field("offset_s", pa.float64()),
        pa.field("audio_present", pa.bool_(), nullable=False),
        pa.field("video_present", pa.bool_(), nullable=False),
        pa.field("damage", pa.list_(pa.string()), nullable=False),
        pa.field("sound_hash", pa.binary(SOUND.itemsize)),
        pa.field("picture_hash", pa.binary(PICTURE.itemsize)),
    ]
)
_GROUP_ROWS = 8192


def write_ledger(path: Path, parts: Iterable[pa.Table]) -> None:
    """Write tables of LEDGER_SCHEMA as one file, some thousand rows in memory at a time."""
    with parquet.writer(path, LEDGER_SCHEMA, compression="zstd") as writer:
        waiting: list[pa.Table] = []
        for part in parts:
            waiting.append(part)
            if sum(len(table) for table in waiting) >= _GROUP_ROWS:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))


def read_rows(path: Path, columns: Iterable[str], split: str | None = None) -> Iterator[pa.Table]:
    """Some columns of the ledger, a part at a time; of one split, or of all.

    UserError when the file is absent or not a ledger.
    """
    names = list(columns)
    file = parquet.Reader(path, "a ledger", "run `dvc repro -f shard`")
    file.require(LEDGER_SCHEMA)
    for table in file.parts(dict.fromkeys([*names, "split"])):
        if split is not None:
            table = table.filter(pc.equal(table["split"], split))
        yield table.select(names)


def write_manifest_csv(ledger: Path, path: Path, split: str = "eval") -> None:
    """Write clip_id, status and error of each clip of a split that was asked for."""
    parts = (
        [table[name].to_pylist() for name in MANIFEST_HEADS]
        for table in read_rows(ledger, MANIFEST_HEADS, split)
    )
    rows = (row for part in parts for row in zip(*part, strict=True))
    publish_csv(csv_text(MANIFEST_HEADS, rows), path)


def read_manifest_csv(path: Path) -> set[str] | None:
    """The usable clips of such a file, this project's or another's; None where it lists none.

    Only the column `clip_id` is needed; where there is a `status`, it has to be ok. UserError when
    the file is absent, has no such column, has a row that cannot be read, names a clip twice, or
    has another content than its `#check` says.
    """
    fix = "name a csv file with a column clip_id, without a column #check if it was changed"
    with reading(path, "a csv file", fix):
        found = list(read_list(path, ("clip_id",), _whole))
        _require_whole(path, found)
    if not found:
        return None
    rows = [_usable(row) for row in found]
    (again, times), *_ = Counter(clip_id for clip_id, _ in rows).most_common(1)
    if times > 1:
        raise UserError(f"{path}: clip {again} is there twice")
    return {clip_id for clip_id, usable in rows if usable}


def _require_whole(path: Path, rows: Sequence[Row]) -> None:
    """ValueError where the list is one of ours and not as it was written.

    One without rows restricts nothing, so that it must not come of one that was cut off.
    """
    text = path.read_bytes()
    if not rows:
        if not text.endswith((b"\n", b"\r")) or CHECK.encode() in text:
            raise ValueError("it is empty, or cut off after its header")
        return
    heads, cells = list(rows[0].cells), [list(row.cells.values()) for row in rows]
    if is_marked(text) or CHECK in heads:
        require_seal(heads, cells)


def _whole(row: Row) -> Row:
    if row.has("status") and not row.text("status"):
        raise RowError("status is empty: ok, failed or dropped is expected")
    return row


def _usable(row: Row) -> tuple[str, bool]:
    return row.text("clip_id"), not row.has("status") or row.text("status").lower() == OK
