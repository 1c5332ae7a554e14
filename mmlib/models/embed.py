"""Writing data/embeddings/<run>.parquet: a row a clip, vectors as raw float32."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmlib.models.predict import Prediction
from mmlib.runtime import parquet
from mmlib.runtime.parquet import binary_column, metadata
from mmlib.runtime.scratch import write_whole

# Bytes of a row group: small enough to stream a large set, large enough to scan at full speed.
_GROUP_BYTES = 32 << 20


def write_embeddings(
    path: Path, parts: Iterable[tuple[str, Prediction]], *, classes: list[str], task: str, run: str
) -> None:
    """Write (split, prediction) parts, which come in the order of the rows, whole or not at all.

    Columns: split, clip_id; labels (K uint8), logits (K float32) and one column of D float32 for
    each vector, as fixed-size binary. The schema's metadata under "mmlib" is JSON: run, classes,
    task and the vectors' dims.
    """

    def write(temporary: Path) -> None:
        batches = (
            _record_batch(split, part, classes=classes, task=task, run=run) for split, part in parts
        )
        first = next(batches, None)
        if first is None:
            raise ValueError("there is no clip to write")
        options: dict[str, Any] = {"compression": "none", "use_dictionary": ["split"]}
        with parquet.writer(temporary, first.schema, **options) as writer:
            waiting: list[pa.RecordBatch] = []
            for batch in chain([first], batches):
                waiting.append(batch)
                if sum(b.nbytes for b in waiting) >= _GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(waiting))
                    waiting = []
            if waiting:
                writer.write_table(pa.Table.from_batches(waiting))

    write_whole(path, write)


def _record_batch(
    split: str, part: Prediction, *, classes: list[str], task: str, run: str
) -> pa.RecordBatch:
    columns: dict[str, pa.Array] = {
        "split": pa.array([split] * len(part.clip_ids), pa.string()),
        "clip_id": pa.array(part.clip_ids, pa.string()),
        "labels": binary_column(part.labels.astype(np.uint8)),
        "logits": binary_column(part.logits.astype(np.float32)),
        **{name: binary_column(vector.astype(np.float32)) for name, vector in part.vectors.items()},
    }
    facts = {
        "run": run,
        "classes": classes,
        "task": task,
        "dims": {name: vector.shape[1] for name, vector in part.vectors.items()},
    }
    fields = [pa.field(name, column.type, nullable=False) for name, column in columns.items()]
    schema = pa.schema(fields, metadata=metadata(facts))
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=schema)
