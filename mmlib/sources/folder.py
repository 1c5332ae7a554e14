"""The user's own clips: media files, and a labels.csv that lists them.

Columns: clip_id; path, relative to the folder of the list; labels, separated by `|`; split (train,
val, eval); optional start_s and end_s, which cut a clip out of a longer file; optional source_id,
the recording that a clip comes from (else the path): clips of one recording must share a split.
"""

import csv
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from mmlib.params.data import Data
from mmlib.runtime.errors import UserError
from mmlib.shards.rows.clips import SPLITS
from mmlib.sources.base import ClipList, Fetched, Request
from mmlib.sources.local import take
from mmlib.sources.validation import carve_validation

_LIST_NAME = "labels.csv"
_NEEDED = ("clip_id", "path", "labels", "split")


def clip_list(data: Data, seed: int) -> ClipList:
    """Read the list of the folder `data.path` (or the CSV file of that name). Needs no seed.

    Classes are all labels of the list, sorted. UserError names the line that cannot be used; a
    missing media file is no such error: its clip fails when it is fetched.
    """
    table = _table(data.path)
    requests = list(_requests(table))
    if not requests:
        raise UserError(f"{table} lists no clips")
    if not any(request.split == "val" for request in requests):
        requests = carve_validation(requests, data.val_share)
    return ClipList(
        source="folder",
        classes=tuple(sorted({label for request in requests for label in request.labels})),
        task=data.task,
        requests=requests,
        fetch=partial(_fetch, copy=data.media == "copy"),
    )


def _table(path: str | None) -> Path:
    if not path:
        raise UserError("data.source=folder needs data.path: the folder that holds labels.csv")
    folder = Path(path).expanduser().absolute()
    table = folder / _LIST_NAME if folder.is_dir() else folder
    if not table.is_file():
        raise UserError(f"data.path={path}: no {table}; the folder must hold a {_LIST_NAME}")
    return table


def _requests(table: Path) -> Iterator[Request]:
    line_of: dict[str, int] = {}
    line = 1
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            _check_header(reader.fieldnames or (), table)
            for row in reader:
                line = reader.line_num
                request = _request(row, table.parent)
                first = line_of.setdefault(request.clip_id, line)
                if first != line:
                    raise _RowError(f"clip_id {request.clip_id} is used in line {first} already")
                yield request
    except UnicodeDecodeError as error:
        raise UserError(f"{table} is not UTF-8 ({error.reason}): save it as UTF-8") from None
    except csv.Error as error:
        raise UserError(
            f"{table}, from line {line + 1} on: {error}; is there a quote that is not closed?"
        ) from None
    except _RowError as error:
        raise UserError(f"{table}, line {line}: {error}") from None


class _RowError(Exception):
    """What is wrong with a row; its place is added where the place is known."""


def _check_header(names: Sequence[str], table: Path) -> None:
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise UserError(
            f"{table} has no column {', '.join(missing)}; it has {', '.join(names) or 'none'}; "
            f"needed are {', '.join(_NEEDED)}, separated by commas"
        )


def _request(row: dict[str, str], folder: Path) -> Request:
    if None in row or None in row.values():
        raise _RowError("the number of fields differs from the header's; quote commas in names")
    for column in ("clip_id", "path"):
        if not row[column].strip():
            raise _RowError(f"{column} is empty")
    if row["split"] not in SPLITS:
        raise _RowError(f"unknown split {row['split']!r}: use {', '.join(SPLITS)}")
    start_s, end_s = (_seconds(row, column) for column in ("start_s", "end_s"))
    if end_s is not None and end_s <= (start_s or 0.0):
        raise _RowError(f"end_s {end_s:g} is not after start_s {start_s or 0.0:g}")
    path = folder / row["path"]
    labels = (label.strip() for label in row["labels"].split("|"))
    return Request(
        clip_id=row["clip_id"],
        source_id=row.get("source_id") or row["path"],
        split=row["split"],
        labels=tuple(dict.fromkeys(label for label in labels if label)),
        start_s=start_s,
        end_s=end_s,
        locator={"path": str(path), **_version(path)},
    )


def _seconds(row: dict[str, str], column: str) -> float | None:
    text = (row.get(column) or "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise _RowError(f"{column} is {text!r}, not a number of seconds") from None
    if not (math.isfinite(value) and value >= 0):
        raise _RowError(f"{column} is {text}: it must be 0 or more")
    return value


def _version(path: Path) -> dict[str, int]:
    # A changed file makes what was stored of it stale.
    try:
        status = path.stat()
    except (OSError, ValueError):
        return {}
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _fetch(request: Request, copy: bool) -> Fetched:
    path = Path(str(request.locator["path"]))
    return take(path, request.start_s, request.end_s, copy=copy)
