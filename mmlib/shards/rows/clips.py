"""The rows that download and decode write: one a clip, a failed one too, in Parquet shards.

A shard is `<split>-<number>.parquet`; beside the shards lies classes.json, the label vocabulary.
Rows keep the order of the source's list. Payloads (media, pcm, frames) are stored plain: they are
compressed already, or read too often for it to pay.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmlib.runtime import parquet
from mmlib.runtime.errors import UserError
from mmlib.runtime.sealed import json_text
from mmlib.runtime.storage import read_json, reading

SPLITS = ("train", "val", "eval")
OK, FAILED = "ok", "failed"
# What the message of an ok row with damaged media begins with.
DAMAGED = "damaged: "
# What is in memory at once, in writing and in reading.
_GROUP_ROWS = 16
_GROUP_BYTES = 128 << 20
VOCABULARY_NAME = "classes.json"
_KIND = "a shard of clips"


@dataclass(frozen=True)
class Clip:
    """A clip as fetched; `media` (an encoded file) or `path` (read in place) when status is "ok".

    `start_s` .. `end_s` are the seconds of the media that are the clip; None means from its start,
    to its end. `request` is the hash of what was asked for. `error` is the class of failure,
    `message` one line about it; an ok row has neither.
    """

    clip_id: str
    source_id: str
    split: str
    labels: tuple[str, ...]
    start_s: float | None
    end_s: float | None
    media: bytes | None
    path: str | None
    sha256: str | None
    source: str
    status: str
    error: str | None
    message: str | None
    attempts: int
    request: str = ""


@dataclass(frozen=True)
class DecodedClip:
    """A clip as PCM and frames; null where it has no such track or failed.

    `pcm` holds `sample_rate_hz` int16 samples a second, mono; `frames` uint8 (frame_count, height,
    width, 3), RGB, at `frame_times` seconds. `audio_s` and `video_s` are the lengths of the tracks,
    `offset_s` the start of the sound less that of the pictures. Damaged media give an ok row with
    the kinds of `damage` (see `media.decode.Decoded`) and a message that begins with "damaged: ".
    """

    clip_id: str
    source_id: str
    split: str
    labels: tuple[str, ...]
    pcm: bytes | None
    frames: bytes | None
    frame_count: int
    frame_times: tuple[float, ...]
    height: int
    width: int
    fps: float
    sample_rate_hz: int
    audio_s: float | None
    video_s: float | None
    offset_s: float | None
    audio_present: bool
    video_present: bool
    sha256: str | None
    source: str
    status: str
    error: str | None
    message: str | None
    attempts: int
    request: str = ""
    damage: tuple[str, ...] = ()


_COMMON = [
    pa.field("clip_id", pa.string(), nullable=False),
    pa.field("source_id", pa.string(), nullable=False),
    pa.field("split", pa.string(), nullable=False),
    pa.field("labels", pa.list_(pa.string()), nullable=False),
]
_OUTCOME = [
    pa.field("sha256", pa.string()),
    pa.field("source", pa.string(), nullable=False),
    pa.field("status", pa.string(), nullable=False),
    pa.field("error", pa.string()),
    pa.field("message", pa.string()),
    pa.field("attempts", pa.int32(), nullable=False),
    pa.field("request", pa.string(), nullable=False),
]
CLIP_SCHEMA = pa.schema(
    [
        *_COMMON,
        pa.field("start_s", pa.float64()),
        pa.field("end_s", pa.float64()),
        pa.field("media", pa.large_binary()),
        pa.field("path", pa.string()),
        *_OUTCOME,
    ]
)
DECODED_SCHEMA = pa.schema(
    [
        *_COMMON,
        pa.field("pcm", pa.large_binary()),
        pa.field("frames", pa.large_binary()),
        pa.field("frame_count", pa.int32(), nullable=False),
        pa.field("frame_times", pa.list_(pa.float32()), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("fps", pa.float64(), nullable=False),
        pa.field("sample_rate_hz", pa.int32(), nullable=False),
        pa.field("audio_s", pa.float64()),
        pa.field("video_s", pa.float64()),
        pa.field("offset_s", pa.float64()),
        pa.field("audio_present", pa.bool_(), nullable=False),
        pa.field("video_present", pa.bool_(), nullable=False),
        *_OUTCOME,
        pa.field("damage", pa.list_(pa.string()), nullable=False),
    ]
)
PAYLOADS = ("media", "pcm", "frames")
_TUPLES = {"labels", "damage"}


@dataclass(frozen=True)
class Vocabulary:
    """The classes, in the order of the label columns, and the task."""

    classes: tuple[str, ...]
    task: str


def write_rows(
    path: Path,
    schema: pa.Schema,
    rows: Iterable[Clip] | Iterable[DecodedClip],
    facts: Mapping[str, Any],
) -> None:
    """Write one shard, a few rows at a time; `facts` become JSON in the schema's metadata."""
    small = [name for name in schema.names if name not in PAYLOADS]
    with parquet.writer(
        path,
        schema.with_metadata(parquet.metadata(dict(sorted(facts.items())))),
        compression="none",
        use_dictionary=False,
        # Statistics of a payload would repeat its smallest and its largest value in the footer.
        write_statistics=small,
    ) as writer:
        for group in _groups(vars(row) for row in rows):
            writer.write_table(pa.Table.from_pylist(group, writer.schema))


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        group.append(row)
        size += sum(len(row.get(name) or b"") for name in PAYLOADS)
        if len(group) == _GROUP_ROWS or size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def read_clips(path: Path) -> Iterator[Clip]:
    """Yield the clips of one shard, a few in memory at a time."""
    for row in _read(path, CLIP_SCHEMA):
        yield Clip(**row)


def read_decoded(path: Path) -> Iterator[DecodedClip]:
    """Yield the decoded clips of one shard, a few in memory at a time."""
    for row in _read(path, DECODED_SCHEMA):
        yield DecodedClip(**row)


def read_columns(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield some columns of each row; payloads that are not named cost nothing."""
    yield from _rows(parquet.Reader(path, _KIND), columns)


def _read(path: Path, schema: pa.Schema) -> Iterator[dict[str, Any]]:
    file = parquet.Reader(path, _KIND)
    file.require(schema)
    yield from _rows(file, schema.names)


def _rows(file: parquet.Reader, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    for part in file.parts(columns):
        for row in part.to_pylist():
            for name in _TUPLES & row.keys():
                row[name] = tuple(row[name])
            yield row


def read_facts(path: Path) -> dict[str, Any]:
    """The facts that a shard was written with."""
    return parquet.Reader(path, _KIND).facts()


def shard_name(split: str, number: int) -> str:
    """File name of a split's shard."""
    return f"{split}-{number:05d}.parquet"


def shard_paths(directory: Path) -> list[Path]:
    """All shards of a directory, splits in their order; UserError when there is none."""
    paths = [path for split in SPLITS for path in sorted(directory.glob(f"{split}-*.parquet"))]
    if not paths:
        raise UserError(f"no clips in {directory}: run `dvc repro`, which makes them")
    return paths


def write_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """Write classes.json."""
    text = json.dumps({"classes": vocabulary.classes, "task": vocabulary.task}, indent=2)
    path.write_text(json_text(text), encoding="utf-8")


def read_vocabulary(directory: Path) -> Vocabulary:
    """Read a directory's classes.json; UserError when it is absent or unreadable."""
    path, fix = directory / VOCABULARY_NAME, "run `dvc repro -f download`"
    found = read_json(path, fix)
    with reading(path, "a class list", fix):
        return Vocabulary(tuple(found["classes"]), found["task"])
