"""How tables, JSON and arrays are kept in files: one writer and one reader of each.

Csv files end their lines with a newline alone and leave undefined cells empty. Parquet files hold
arrays as raw numbers in binary columns, and what they say of themselves as JSON in the schema's
metadata. Whatever cannot be read ends in a UserError that names the file and what to do.
"""

import csv
import io
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmlib.runtime.arrays import Array
from mmlib.runtime.errors import UserError

METADATA_KEY = b"mmlib"
"""Where a Parquet schema holds the JSON."""

Table = Mapping[str, Array]
"""Columns of a csv by name: float64 where every cell is a number or empty (nan), else str."""


@contextmanager
def reading(path: Path, kind: str, fix: str | None = None) -> Iterator[None]:
    """Turn what goes wrong while a file is read into a UserError: the file, the fault, the `fix`.

    `kind` is what the file should be, such as "JSON". Without `fix`: `dvc repro`, which makes it.
    """
    try:
        yield
    except FileNotFoundError:
        advice = fix or "run `dvc repro`, which makes it"
        raise UserError(f"{path}: no such file; {advice}") from None
    except (pa.ArrowException, csv.Error, OSError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        advice = fix or "delete it and run `dvc repro`"
        raise UserError(f"{path}: cannot be read as {kind} ({reason}); {advice}") from None


def read_json(path: Path, fix: str | None = None) -> dict[str, Any]:
    """Read a file that holds one JSON object; UserError where it is absent or holds none."""
    with reading(path, "JSON", fix):
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError(f"it holds {type(value).__name__}, not an object")
        return value


def read_csv(path: Path, fix: str | None = None) -> list[dict[str, str]]:
    """Read a csv with a header: its rows, each a dict of texts by column.

    Lines without any field are passed over. UserError where it is absent, not UTF-8, or a row has
    not as many fields as the header.
    """
    with reading(path, "a csv file", fix), path.open(newline="", encoding="utf-8-sig") as stream:
        rows = csv.reader(stream)
        heads = next(rows, [])
        found = []
        for row in rows:
            if len(row) not in (0, len(heads)):
                fault = f"{len(row)} fields where the header has {len(heads)}"
                raise ValueError(f"line {rows.line_num}: {fault}")
            if row:
                found.append(dict(zip(heads, row, strict=True)))
    return found


def read_table(path: Path, text: Collection[str] = ("class",)) -> Table:
    """Read a csv as arrays, one for each column; none where it has no rows.

    The columns in `text` stay text whatever is in them: a class may be called "7". Raises as
    `read_csv` does.
    """
    rows = read_csv(path)
    heads = list(rows[0]) if rows else []
    return {name: _column([row[name] for row in rows], name in text) for name in heads}


def _column(cells: list[str], is_text: bool) -> Array:
    if not is_text:
        with suppress(ValueError):
            return np.array([float(cell) if cell else math.nan for cell in cells], np.float64)
    return np.array(cells, np.str_)


def csv_text(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A csv as text, for `publish_text`: the header, then the rows."""
    stream = io.StringIO()
    _write(stream, heads, rows)
    return stream.getvalue()


def records_csv(records: Iterable[Mapping[str, object]]) -> str:
    """Records as csv text, their keys as header; a cell is empty where a record lacks the key."""
    rows = list(records)
    heads = list(dict.fromkeys(key for row in rows for key in row))
    return csv_text(heads, ([row.get(key, "") for key in heads] for row in rows))


def write_csv(path: Path, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a csv that may be too long to hold as text."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        _write(stream, heads, rows)


def _write(stream: TextIO, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)


DECIMALS = 6
"""Decimals of a figure in metrics and tables; the digits of `significant` too."""


def decimals(value: float) -> str:
    """A cell with six decimals; empty for nan."""
    return "" if math.isnan(value) else f"{value:.{DECIMALS}f}"


def significant(value: float, digits: int = DECIMALS) -> str:
    """A cell with so many significant digits; empty for nan."""
    return "" if math.isnan(value) else f"{value:.{digits}g}"


def rounded(value: float) -> float | None:
    """Six decimals for JSON, None where JSON has no number for it."""
    return round(value, DECIMALS) if math.isfinite(value) else None


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file; UserError where it is absent or broken."""
    with reading(path, "Parquet"):
        return pq.ParquetFile(path)


def read_schema(path: Path) -> pa.Schema:
    """The schema of a Parquet file; UserError where it is absent or broken."""
    with reading(path, "Parquet"):
        return pq.read_schema(path)


def require_rows(found: int, promised: int) -> None:
    """ValueError where a reading has other than the rows that the Parquet footer promises.

    A damaged page header may be read as that of an empty page, and neither pyarrow nor checksums,
    which cover a page's contents alone, notice. Call it within `reading`, which names the file.
    """
    if found != promised:
        raise ValueError(f"damaged: it holds {promised} rows, of which {found} could be read")


def read_groups(
    file: pq.ParquetFile, groups: Sequence[int], columns: Sequence[str] | None = None
) -> pa.Table:
    """Read row groups of an open file; ValueError where rows are missing, see `require_rows`."""
    table = file.read_row_groups(list(groups), columns=columns and list(columns))
    require_rows(len(table), sum(file.metadata.row_group(group).num_rows for group in groups))
    return table


def read_parquet(
    path: Path, columns: Sequence[str] | None = None, where: tuple[str, str] | None = None
) -> pa.Table:
    """Read a Parquet file, or some columns of it, or the rows `where` a column has a value.

    UserError where it is absent, broken, or lacks a column or rows.
    """
    with reading(path, "Parquet"):
        footer = pq.read_metadata(path)
        absent = sorted(set(columns or ()) - set(footer.schema.to_arrow_schema().names))
        if absent:
            raise ValueError(f"no column {absent[0]}")
        chosen = columns and list(columns)
        promised = footer.num_rows
        if where is None:
            table = pq.read_table(path, columns=chosen)
        else:
            column, value = where
            keys = pq.read_table(path, columns=[column])[column]
            require_rows(len(keys), promised)
            promised = pc.sum(pc.equal(keys, value)).as_py() or 0
            table = pq.read_table(path, columns=chosen, filters=[(column, "==", value)])
        require_rows(len(table), promised)
        return table


def metadata(facts: Mapping[str, Any]) -> dict[bytes, bytes]:
    """What a Parquet file says of itself, as the metadata of its schema."""
    return {METADATA_KEY: json.dumps(facts).encode()}


def read_metadata(schema: pa.Schema, path: Path) -> dict[str, Any]:
    """The facts that `metadata` put into the schema of `path`; UserError where there are none."""
    with reading(path, "a file of this pipeline"):
        stored = (schema.metadata or {}).get(METADATA_KEY)
        if stored is None:
            raise ValueError("its schema says nothing")
        facts: dict[str, Any] = json.loads(stored)
        return facts


def binary_column(rows: Array) -> pa.Array:
    """Numbers (N, ...) as a column of N fixed-size binaries, without a copy where contiguous."""
    rows = np.ascontiguousarray(rows)
    width = math.prod(rows.shape[1:]) * rows.itemsize
    return pa.Array.from_buffers(pa.binary(width), len(rows), [None, pa.py_buffer(rows)])


def numbers_of(column: pa.ChunkedArray, dtype: Any) -> Array:
    """A column of binaries of one length, without nulls, as numbers (N, width), read-only.

    Without a copy where the column is fixed-size and in one chunk.
    """
    if not pa.types.is_fixed_size_binary(column.type):
        flat = np.frombuffer(b"".join(column.to_pylist()), dtype)
        return flat.reshape(len(column), -1) if len(column) else flat.reshape(0, 0)
    size = column.type.byte_width
    width = size // np.dtype(dtype).itemsize
    parts = [
        np.frombuffer(chunk.buffers()[1], dtype, len(chunk) * width, chunk.offset * size)
        for chunk in column.chunks
        if len(chunk)
    ]
    flat = parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, dtype), *parts])
    return flat.reshape(-1, width)
