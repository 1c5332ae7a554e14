"""All clips of the decoded shards as columns, without an object a clip."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mmlib.clips import OK, SPLITS, Vocabulary
from mmlib.errors import UserError

_COLUMNS = ["clip_id", "source_id", "split", "status", "sha256", "audio_present", "video_present"]


@dataclass(frozen=True)
class Listed:
    """All clips, N in the order of the ledger: ids as Arrow strings, masks and codes as arrays.

    `splits` are places in SPLITS; clip i has `labels[label_ends[i - 1] : label_ends[i]]`, places in
    the class list. A survey file holds the clips up to each of `ends`.
    """

    surveys: Sequence[Path]
    ends: NDArray[np.int64]
    clip_ids: pa.ChunkedArray
    source_ids: pa.ChunkedArray
    sha256: pa.ChunkedArray
    splits: NDArray[np.int8]
    ok: NDArray[np.bool_]
    present: dict[str, NDArray[np.bool_]]
    labels: NDArray[np.int32]
    label_ends: NDArray[np.int64]


def read_list(surveys: Sequence[Path], vocabulary: Vocabulary) -> Listed:
    """Read the surveys' rows, without their hashes; UserError for an id that is there twice."""
    tables, places, counts = [], [], []
    classes = pa.array(vocabulary.classes, pa.string())
    for path in surveys:
        table = pq.read_table(path, columns=[*_COLUMNS, "labels"])
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


def _mask(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.bool_)


def _places(column: pa.ChunkedArray, names: Sequence[str]) -> NDArray[np.int8]:
    return np.asarray(pc.index_in(column, pa.array(names)).to_numpy(), np.int8)


def _refuse_repeated(clip_ids: pa.ChunkedArray) -> None:
    counts = clip_ids.value_counts()
    again = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(again):
        name = again.field("values")[0]
        raise UserError(f"clip id {name} occurs twice: every clip needs its own")
