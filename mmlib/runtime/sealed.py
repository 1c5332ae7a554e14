"""Checksums within files, by which a reader notices that a file is not what was written.

A JSON object has the CRC-32 of all its other values under `#check`, in a list, which DVC leaves out
of its metrics. A csv file has a last column `#check` whose first cell counts the rows and has the
CRC-32 of all other cells, the header's among them; a csv without rows has none. Both may be laid
out anew. A file without a `#check` is read as it is: people write guides and tables too, and take
the `#check` out of what they change. Binary files that nobody else reads end with theirs.

Nothing here guards against anyone who means to deceive.
"""

import csv
import io
import json
import re
import struct
import zlib
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any

CHECK = "#check"
"""No row of params.yaml can have this name, as rows of some JSON files do."""
_IN_JSON = re.compile(r'\[\s*"crc32 [0-9a-f]{8}"\s*\]')
_IN_CSV = re.compile(r"rows \d+ crc32 [0-9a-f]{8}")
_CHANGED = f"damaged: its content is not that which its `{CHECK}` was made of"
# How long the file was, its CRC-32, the mark.
_ENDING = struct.Struct("<QI8s")
_MARK = b"mmlibsum"
# Stays in a core's own cache between its reading and its sum.
_BLOCK_BYTES = 1 << 18


def crc32_of(file: IO[bytes], start: int, size: int) -> int:
    """CRC-32 of a part of a file, which is read: mapped, a failing disk would end the process."""
    file.seek(start)
    crc = 0
    while block := file.read(min(size, _BLOCK_BYTES)):
        crc = zlib.crc32(block, crc)
        size -= len(block)
    return crc


def crc32_of_file(path: Path) -> str:
    """CRC-32 of a whole file, 8 hex digits."""
    with path.open("rb", buffering=0) as file:
        return f"{crc32_of(file, 0, path.stat().st_size):08x}"


def json_text(text: str) -> str:
    """The text of a JSON object with its `#check` as the last key."""
    head = text.rstrip().removesuffix("}").rstrip()
    comma = "" if head.endswith("{") else ","
    return f'{head}{comma}\n  "{CHECK}": {json.dumps(_json_seal(json.loads(text)))}\n}}\n'


def open_json(text: str) -> dict[str, Any]:
    """The object that a text holds, without its `#check`; ValueError where that does not fit."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"it holds {type(value).__name__}, not an object")
    if CHECK in value or _IN_JSON.search(text):
        found = value.pop(CHECK, None)
        if found != _json_seal(value):
            raise ValueError(_CHANGED)
    return value


def _json_seal(value: Any) -> list[str]:
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return [f"crc32 {zlib.crc32(plain.encode()):08x}"]


def csv_text(text: str) -> str:
    """The text of a csv, as this project writes it, with its `#check` as the last column."""
    heads, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    if not rows:
        return text
    cells = _column(heads, rows)
    stream = io.StringIO(newline="")
    lines = csv.writer(stream, lineterminator="\n")
    lines.writerow([*heads, CHECK])
    lines.writerows([*row, cell] for row, cell in zip(rows, cells, strict=True))
    return stream.getvalue()


def open_csv(text: str) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a csv, without their `#check`.

    ValueError where that does not fit, and where a row has not as many cells as the header. Lines
    without any cell are passed over.
    """
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    heads, rows = next(lines, []), []
    for row in lines:
        if len(row) not in (0, len(heads)):
            fault = f"{len(row)} fields where the header has {len(heads)}"
            raise ValueError(f"line {lines.line_num}: {fault}")
        if row:
            rows.append(row)
    if not rows and not text.endswith(("\n", "\r")):
        raise ValueError("it is empty, or cut off in its header")
    return open_rows(heads, rows)


def open_rows(heads: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a csv, without their `#check`; ValueError if it does not fit."""
    if CHECK not in heads and not _has_seal([heads, *rows]):
        return heads, rows
    return require_seal(heads, rows)


def require_seal(heads: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """As `open_rows`, of a csv that must have a `#check`."""
    *plain_heads, head = heads
    cells, plain = [row[-1] for row in rows], [row[:-1] for row in rows]
    if head != CHECK or not rows or cells != _column(plain_heads, plain):
        raise ValueError(_CHANGED)
    return plain_heads, plain


def is_marked(text: bytes) -> bool:
    """Tell whether a csv's text has a `#check` anywhere, or what such a column holds.

    However lenient a reader is, of a column that has run into another it may see neither.
    """
    return CHECK.encode() in text or _IN_CSV.search(text.decode("latin-1")) is not None


def _has_seal(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether a cell of the first two rows is that of a `#check`, whatever its column."""
    return any(map(_IN_CSV.fullmatch, chain(*rows[:2])))


def _column(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [_csv_seal(heads, rows), *[""] * (len(rows) - 1)]


def _csv_seal(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    crc = 0
    for line in (heads, *rows):
        crc = zlib.crc32(json.dumps(line).encode(), crc)
    return f"rows {len(rows)} crc32 {crc:08x}"


def append(path: Path) -> None:
    """End a finished file with its length and its CRC-32; `content` takes them off."""
    with path.open("rb+") as file:
        size = path.stat().st_size
        crc = crc32_of(file, 0, size)
        file.seek(size)
        file.write(_ENDING.pack(size, crc, _MARK))


def content(path: Path) -> bytes:
    """What a file held before `append`; ValueError where it is not that any more."""
    whole = path.read_bytes()
    held, ending = whole[: -_ENDING.size], whole[-_ENDING.size :]
    if len(ending) < _ENDING.size or _ENDING.unpack(ending) != (len(held), zlib.crc32(held), _MARK):
        raise ValueError("damaged: it is not as it was written")
    return held
