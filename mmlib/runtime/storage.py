"""How tables and JSON are kept in files of text: one writer and one reader of each.

Csv files end their lines with a newline alone and leave undefined cells empty. What the pipeline
reads again carries a `#check` of its content (see `sealed`). Whatever cannot be read, or is not as
it was written, ends in a UserError that names the file and what to do.
"""

import csv
import io
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa

from mmlib.runtime import sealed
from mmlib.runtime.arrays import Array
from mmlib.runtime.errors import UserError

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
    except (
        pa.ArrowException,
        csv.Error,
        OSError,
        LookupError,
        ValueError,
        RecursionError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        advice = fix or "delete it and run `dvc repro`"
        raise UserError(f"{path}: cannot be read as {kind} ({reason}); {advice}") from None


def read_json(path: Path, fix: str | None = None) -> dict[str, Any]:
    """Read a file that holds one JSON object; UserError where it is absent, damaged or other."""
    with reading(path, "JSON", fix):
        return sealed.open_json(path.read_text(encoding="utf-8"))


WEIGHTS_CHECK = "weights_crc32"
"""The key under which the JSON beside a file of weights has that file's CRC-32."""


def check_weights(path: Path) -> None:
    """UserError where a `.safetensors` is absent or not the one that the JSON beside it describes.

    Weights from elsewhere, whose JSON has no such sum or that have none, pass.
    """
    with reading(path, "weights"):
        found = sealed.crc32_of_file(path)
    beside = path.with_suffix(".json")
    stored = read_json(beside).get(WEIGHTS_CHECK) if beside.is_file() else None
    if stored not in (None, found):
        raise UserError(
            f"{path}: damaged, or not the weights that {beside.name} describes; delete it and "
            "run `dvc repro`"
        )


def read_csv(path: Path, fix: str | None = None) -> list[dict[str, str]]:
    """Read a csv with a header: its rows, each a dict of texts by column.

    Lines without any field are passed over. UserError where it is absent, not UTF-8, cut off, or a
    row has not as many fields as the header, and where its `#check` is another's.
    """
    with reading(path, "a csv file", fix), path.open(newline="", encoding="utf-8-sig") as stream:
        heads, rows = sealed.open_csv(stream.read())
        return [dict(zip(heads, row, strict=True)) for row in rows]


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
