"""The checksums of a Parquet file, and its footer, which is never read without them.

Between the last column chunk and the footer lie a CRC-32 of each chunk, headers and all, then how
many bytes these take, one CRC-32 of them and of the footer, and a mark.
"""

import os
import struct
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from mmlib.runtime.sealed import crc32_of

_ENDING = struct.Struct("<II8s")
_MARK = b"mmlibsum"
# What ends every Parquet file: the footer's length, and Parquet's own mark.
_TAIL = struct.Struct("<I4s")
# Footers that are kept parsed. Each takes 1.3 kB for every column chunk: of a large set of shards
# all of them would be 600 bytes a clip.
_FOOTERS = 64


def seal(path: Path) -> None:
    """Put the checksums into a Parquet file that has just been written."""
    written = pq.read_metadata(path)
    with path.open("rb+") as file:
        sums = [
            crc32_of(file, *extent(written, group, column))
            for group in range(written.num_row_groups)
            for column in range(written.num_columns)
        ]
        end = file.seek(0, os.SEEK_END) - _TAIL.size
        start = end - _TAIL.unpack(_at(file, end, _TAIL.size))[0]
        rest = _at(file, start, end + _TAIL.size - start)
        packed = struct.pack(f"<{len(sums)}I", *sums)
        whole = zlib.crc32(rest, zlib.crc32(packed))
        file.seek(start)
        file.write(packed + _ENDING.pack(len(packed), whole, _MARK) + rest)


def extent(parsed: pq.FileMetaData, group: int, column: int) -> tuple[int, int]:
    """Where a column chunk begins, and its bytes."""
    chunk = parsed.row_group(group).column(column)
    first = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
    return first, chunk.total_compressed_size


def leaves(parsed: pq.FileMetaData) -> dict[str, list[int]]:
    """The places of the leaf columns that make up each column, where there is a row group."""
    found: dict[str, list[int]] = {}
    for column in range(parsed.num_columns):
        name, *_ = parsed.row_group(0).column(column).path_in_schema.split(".")
        found.setdefault(name, []).append(column)
    return found


def schema(parsed: pq.FileMetaData) -> pa.Schema:
    """The schema, the same object for all files that have the same one."""
    said = tuple(sorted((parsed.metadata or {}).items()))
    return _schema(_Schema(said, parsed.num_columns, parsed))


@dataclass(frozen=True)
class _Schema:
    """Among what a footer says is the Arrow schema that its file was written with."""

    said: tuple[tuple[bytes, bytes], ...]
    columns: int
    parsed: pq.FileMetaData = field(compare=False)


@lru_cache(maxsize=_FOOTERS)
def _schema(of: _Schema) -> pa.Schema:
    # This puts the footer into a cycle, which only the collector of garbage frees: once is enough.
    return of.parsed.schema.to_arrow_schema()


@lru_cache(maxsize=_FOOTERS)
def footer(path: Path, whole: int) -> pq.FileMetaData:
    """The footer of this checksum; ValueError where the file has another one by now."""
    written, _, found = ending(path)
    if found != whole:
        raise ValueError("it was written anew since it was opened")
    return pq.read_metadata(pa.BufferReader(written))


def ending(path: Path) -> tuple[bytes, bytes, int]:
    """The footer and the chunks' checksums, as bytes, and the checksum of both.

    ValueError where they are not as they were written.
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END) - _TAIL.size
        tail = _at(file, end, _TAIL.size)
        size, mark = _TAIL.unpack(tail)
        if mark != b"PAR1":
            raise ValueError("it does not end as Parquet does: cut off, or no such file")
        written = _at(file, end - size, size)
        mine = _at(file, end - size - _ENDING.size, _ENDING.size)
        size_of_sums, whole, ours = _ENDING.unpack(mine)
        if ours != _MARK:
            raise ValueError("it has no checksums: damaged, or not written by this version")
        sums = _at(file, end - size - _ENDING.size - size_of_sums, size_of_sums)
    if zlib.crc32(written + tail, zlib.crc32(sums)) != whole:
        raise ValueError("damaged: its footer is not as it was written")
    return written + tail, sums, whole


def _at(file: IO[bytes], start: int, size: int) -> bytes:
    if start < 0:
        raise ValueError("it is too short")
    file.seek(start)
    return file.read(size)
