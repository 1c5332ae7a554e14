"""Training shards: Parquet files of clips that are ready to be copied into a batch.

Payloads are fixed_size_binary, not nullable, without dictionary or compression: a row group of 16
clips is then one buffer a column, which a reader copies at the speed of memory. A clip without
sound or without pictures holds zeros there and is marked absent. Frames may be JPEG instead: a list
of binaries, which readers decode.
"""

from collections.abc import Iterable
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from mmlib.runtime import parquet
from mmlib.runtime.arrays import Array, Bools, Bytes, Floats16, Ints16
from mmlib.runtime.errors import UserError
from mmlib.runtime.parquet import METADATA_KEY, binary_column, numbers_of
from mmlib.runtime.storage import reading
from mmlib.shards.read import jpeg
from mmlib.shards.read.manifest import MANIFEST_NAME

ROW_GROUP_CLIPS = 16
PAYLOADS = {"audio": "log_mel", "video": "frames"}
WAVEFORM = "waveform"
_KIND = "a shard of this version"
_SMALL = ["clip_id", "source_id", "labels", "audio_present", "video_present"]


class Payload(BaseModel):
    """Shape and dtype of one clip's array in a fixed_size_binary column."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[int, ...]
    dtype: Literal["float16", "uint8"]

    @property
    def bytes(self) -> int:
        """Bytes a clip."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


class Layout(BaseModel):
    """What the rows of a shard hold; stored as JSON in the file's metadata.

    `log_mel` (T, F) float16 in [0, 1], `frames` (T, H, W, 3) uint8, stored as they are or, with
    `jpeg_quality`, each as a JPEG; waveforms are int16, mono, of `clip_samples` samples.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    split: str
    classes: tuple[str, ...]
    task: str
    log_mel: Payload
    frames: Payload
    sample_rate_hz: int
    clip_samples: int
    jpeg_quality: int | None = None


class ShardRow(NamedTuple):
    """One clip: labels (K,) uint8, arrays as the layout says, None where it has no such track.

    `waveform` (N,) int16 is kept for the eval split, or for all: shard.waveforms.
    """

    clip_id: str
    source_id: str
    labels: Bytes
    log_mel: Floats16 | None
    frames: Bytes | None
    waveform: Ints16 | None


class ShardIndex(NamedTuple):
    """All but the payloads: ids, labels (N, K) uint8, modality -> (N,) bool, what is present."""

    clip_ids: list[str]
    source_ids: list[str]
    labels: Bytes
    present: dict[str, Bools]


def write_shard(path: Path, layout: Layout, rows: Iterable[ShardRow]) -> None:
    """Write one shard, a row group in memory at a time."""
    schema = _schema(layout)
    with parquet.writer(
        path, schema, compression="none", use_dictionary=False, write_statistics=False
    ) as writer:
        rows = iter(rows)
        while group := list(islice(rows, ROW_GROUP_CLIPS)):
            writer.write_batch(_record_batch(group, layout, schema))


def _schema(layout: Layout) -> pa.Schema:
    fields = [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("labels", pa.binary(len(layout.classes)), nullable=False),
        pa.field("log_mel", pa.binary(layout.log_mel.bytes), nullable=False),
        _frames_field(layout),
        pa.field("audio_present", pa.bool_(), nullable=False),
        pa.field("video_present", pa.bool_(), nullable=False),
        pa.field(WAVEFORM, pa.binary()),
    ]
    # Without JPEG the layout says nothing of it, and is that of shards of before.
    return pa.schema(fields, metadata={METADATA_KEY: layout.model_dump_json(exclude_none=True)})


def _frames_field(layout: Layout) -> pa.Field:
    if layout.jpeg_quality is None:
        return pa.field("frames", pa.binary(layout.frames.bytes), nullable=False)
    return pa.field("frames", pa.list_(pa.field("element", pa.binary(), nullable=False)))


def _record_batch(rows: list[ShardRow], layout: Layout, schema: pa.Schema) -> pa.RecordBatch:
    waveforms = [None if row.waveform is None else row.waveform.tobytes() for row in rows]
    columns = [
        pa.array([row.clip_id for row in rows]),
        pa.array([row.source_id for row in rows]),
        binary_column(np.stack([row.labels for row in rows])),
        binary_column(_stack([row.log_mel for row in rows], layout.log_mel)),
        _frames_column(rows, layout, schema),
        pa.array([row.log_mel is not None for row in rows]),
        pa.array([row.frames is not None for row in rows]),
        pa.array(waveforms, pa.binary()),
    ]
    return pa.record_batch(columns, schema=schema)


def _frames_column(rows: list[ShardRow], layout: Layout, schema: pa.Schema) -> pa.Array:
    stacked = _stack([row.frames for row in rows], layout.frames)
    if layout.jpeg_quality is None:
        return binary_column(stacked)
    pictures = [
        None if row.frames is None else jpeg.encode(frames, layout.jpeg_quality)
        for row, frames in zip(rows, stacked, strict=True)
    ]
    return pa.array(pictures, schema.field("frames").type)


def _stack(arrays: list[Any], payload: Payload) -> Array:
    stacked = np.zeros((len(arrays), *payload.shape), payload.dtype)
    for place, array in zip(stacked, arrays, strict=True):
        if array is not None:
            if (array.shape, array.dtype) != (payload.shape, place.dtype):
                raise ValueError(f"{array.shape} {array.dtype} does not fit {payload}")
            place[...] = array
    return stacked


class ShardReader:
    """One shard, read a column of a row group at a time; holds no open file between reads.

    `layout` says what the rows are, `sizes` how many each row group has. A file that is missing,
    of another format, or damaged raises UserError with its name; its checksums are compared once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = parquet.Reader(path, _KIND, mapped=True)
        with reading(path, _KIND):
            self.layout = _layout((self._file.schema.metadata or {})[METADATA_KEY])
        self._file.require(_schema(self.layout))
        self.sizes = self._file.sizes

    def index(self) -> ShardIndex:
        """Read everything but the payloads."""
        table = self._file.read(_SMALL)
        return ShardIndex(
            table["clip_id"].to_pylist(),
            table["source_id"].to_pylist(),
            numbers_of(table["labels"], np.uint8).copy(),
            {name: table[f"{name}_present"].to_numpy() for name in PAYLOADS},
        )

    def read(self, group: int, column: str) -> Array:
        """One payload of a row group, (rows, *shape), read-only; of "waveform" (rows, N) int16.

        A clip without a waveform has zeros there. Frames stored as JPEG are decoded; UserError
        names the clip where one cannot be.
        """
        if column == PAYLOADS["video"] and self.layout.jpeg_quality is not None:
            pictures = self.pictures(group)
            frames = np.zeros((len(pictures), *self.layout.frames.shape), np.uint8)
            jpeg.decode_into(frames, pictures)
            frames.flags.writeable = False
            return frames
        table = self._file.read([column], [group])
        if column == WAVEFORM:
            silence = bytes(2 * self.layout.clip_samples)
            joined = b"".join(value or silence for value in table[column].to_pylist())
            return np.frombuffer(joined, np.int16).reshape(len(table), self.layout.clip_samples)
        payload: Payload = getattr(self.layout, column)
        return numbers_of(table[column], payload.dtype).reshape(len(table), *payload.shape)

    def pictures(self, group: int) -> list[jpeg.Pictures]:
        """The frames of a row group as they are stored, JPEG, for `jpeg.decode_into`."""
        table = self._file.read(["clip_id", PAYLOADS["video"]], [group])
        names, pictures = (column.to_pylist() for column in table.columns)
        fault = partial(reading, self.path, _KIND)
        return [jpeg.Pictures(*one, fault) for one in zip(names, pictures, strict=True)]


@lru_cache(maxsize=8)
def _layout(stored: bytes) -> Layout:
    """What all shards of a split say alike, in memory once: its classes alone may be 30 kB."""
    return Layout.model_validate_json(stored)


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
