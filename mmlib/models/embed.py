"""Making data/embeddings/<run>.parquet: a row a clip, vectors as raw float32."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmlib.models import checkpoint, devices
from mmlib.models.base import Model
from mmlib.models.predict import Prediction, predict
from mmlib.runtime import parquet
from mmlib.runtime.parquet import Reader, binary_column, metadata
from mmlib.runtime.paths import checkpoint_files
from mmlib.runtime.phases import Phase
from mmlib.runtime.pieces import finish
from mmlib.runtime.scratch import Scratch, fingerprint, write_whole
from mmlib.runtime.workers import worker_count
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import MANIFEST_NAME, filled_splits, read_manifest

# Bytes of a row group: small enough to stream a large set, large enough to scan at full speed.
_GROUP_BYTES = 32 << 20


SPLITS = ("train", "val", "eval")
"""The order of the rows."""
# Clips of a piece, or the next less that whole batches make [choice: some seconds of work].
_PIECE_CLIPS = 1024
# A process takes as long to start as it takes for some pieces of the demo's size.
_PIECES_A_PROCESS = 4


@dataclass(frozen=True)
class Part:
    """Rows `first` to `last` (excluded) of a split, put through the checkpoint `model`."""

    model: Path
    shards: Path
    split: str
    first: int
    last: int
    batch_size: int
    scratch: Scratch

    @property
    def name(self) -> str:
        """The name of its piece in scratch."""
        return f"{self.split}-{self.first:08d}.parquet"


def embed_run(model: Path, shards: Path, out: Path, batch_size: int) -> None:
    """Write what the checkpoint `model` (without suffix) says of every clip of every split.

    Batches are those of one process whatever shares the work, and each is computed with one thread
    of a CPU. Goes on from finished pieces after a kill.
    """
    counts = {split: read_manifest(shards)["clips"][split]["count"] for split in _splits(shards)}
    files = [path for split in counts for path in sorted(shards.glob(f"{split}-*.parquet"))]
    clips = [Reader(path).identity for path in files]
    mark = fingerprint(batch_size, clips, shards / MANIFEST_NAME, *checkpoint_files(model))
    scratch = Scratch(f"embed-{model.name}", mark)
    size = max(1, _PIECE_CLIPS // batch_size) * batch_size
    parts = [
        Part(model, shards, split, first, min(first + size, count), batch_size, scratch)
        for split, count in counts.items()
        for first in range(0, count, size)
    ]
    phase = Phase(parts, lambda place: scratch.has(parts[place].name))
    workers = devices.worker_processes() or min(worker_count(), len(parts) // _PIECES_A_PROCESS)
    label = f"embed {model.name}"
    finish(_embed, [phase], scratch, label=label, workers=max(1, workers), device=True)
    _join([scratch.path(part.name) for part in parts], out, batch_size)
    scratch.finish()


def _splits(shards: Path) -> list[str]:
    there = filled_splits(shards)
    return [split for split in SPLITS if split in there]


def _embed(part: Part) -> None:
    model, clips, described = _loaded(part.model, part.shards, part.split)
    rows = np.arange(part.first, part.last)
    found = predict(model, clips, batch_size=part.batch_size, device=model.device, indices=rows)
    write_embeddings(
        part.scratch.path(part.name),
        ((part.split, prediction) for prediction in found),
        classes=described["classes"],
        task=described["task"],
        run=part.model.name,
    )


@lru_cache(maxsize=1)
def _loaded(model: Path, shards: Path, split: str) -> tuple[Model, ShardSet, dict[str, Any]]:
    net, described = checkpoint.load(model, devices.select_in_worker())
    return net, ShardSet(shards, split, waveform=net.waveform, pixels=True), described


def _join(pieces: Sequence[Path], out: Path, batch_size: int) -> None:
    batches = (
        batch
        for piece in pieces
        for table in Reader(piece, "a finished piece").parts()
        for batch in table.combine_chunks().to_batches(max_chunksize=batch_size)
    )
    write_whole(out, lambda path: _write(path, batches))


def write_embeddings(
    path: Path, parts: Iterable[tuple[str, Prediction]], *, classes: list[str], task: str, run: str
) -> None:
    """Write (split, prediction) parts, which come in the order of the rows, whole or not at all.

    Columns: split, clip_id; labels (K uint8), logits (K float32) and one column of D float32 for
    each vector, as fixed-size binary. The schema's metadata under "mmlib" is JSON: run, classes,
    task and the vectors' dims.
    """

    batches = (
        _record_batch(split, part, classes=classes, task=task, run=run) for split, part in parts
    )
    write_whole(path, lambda temporary: _write(temporary, batches))


def _write(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    first = next(batches, None)
    if first is None:
        raise ValueError("there is no clip to write")
    options: dict[str, Any] = {"compression": "none", "use_dictionary": ["split"]}
    with parquet.writer(path, first.schema, **options) as writer:
        waiting: list[pa.RecordBatch] = []
        for batch in chain([first], batches):
            waiting.append(batch)
            if sum(b.nbytes for b in waiting) >= _GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting))


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
