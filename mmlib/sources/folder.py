"""The user's own clips: media files, and a labels.csv that lists them.

Columns: clip_id; path, relative to the folder of the list, or an address on an object store;
labels, separated by `|`; split (train, val, eval); optional start_s and end_s, which cut a clip out
of a longer file; optional source_id, the recording that a clip comes from (else the file): clips of
one recording must share a split.
"""

import os
import re
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from unicodedata import normalize
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from mmlib.params.data import Data
from mmlib.runtime import stores
from mmlib.runtime.errors import UserError
from mmlib.runtime.lists import Row, RowError, read_list
from mmlib.runtime.names import FORMULA_ERROR, clean
from mmlib.runtime.paths import with_home
from mmlib.shards.rows.clips import SPLITS
from mmlib.sources import doubtful
from mmlib.sources.base import ClipList, Fetched, Request
from mmlib.sources.local import take
from mmlib.sources.places import Found, Place, lists_at
from mmlib.sources.validation import carve_validation

_ELSEWHERE = re.compile(r"(?!file:|s3:|gs:)[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_LIST_NAME = "labels.csv"
_NEEDED = ("clip_id", "path", "labels", "split")


def clip_list(data: Data, seed: int) -> ClipList:
    """Read the list of the folder `data.path` (or the CSV file of that name). Needs no seed.

    Classes are all labels of the list, sorted. UserError names the line that cannot be used; a
    missing media file is no such error: its clip fails when it is fetched.
    """
    table, place = _table(data.path)
    rows = _Rows(place)
    requests: Sequence[Request] = list(read_list(table, _NEEDED, rows.request))
    if not requests:
        raise UserError(f"{table} lists no clips")
    if not any(request.split == "val" for request in requests):
        requests = carve_validation(requests, data.val_share)
    return ClipList(
        source="folder",
        classes=tuple(sorted(rows.lines_of_label)),
        task=data.task,
        requests=requests,
        fetch=partial(_fetch, copy=data.media == "copy"),
        warnings=tuple(f"{table}: {line}" for line in rows.warnings()),
    )


def _table(path: str | None) -> tuple[Path, Place]:
    if not path:
        raise UserError("data.source=folder needs data.path: the folder that holds labels.csv")
    folder, place = lists_at(path)
    table = folder / _LIST_NAME if folder.is_dir() else folder
    if not table.is_file():
        raise UserError(f"data.path={path}: no {table}; the folder must hold a {_LIST_NAME}")
    return table, place


class _Rows:
    """Makes a request of each row, and knows what the rows before it held.

    `lines_of_label` maps each label to the lines that have it, `lines_of_recording` each recording.
    """

    def __init__(self, place: Place) -> None:
        self.lines_of_label: dict[str, list[int]] = {}
        self.lines_of_recording: dict[str, list[int]] = {}
        self._columns: Collection[str] = ()
        self._place = place
        self._line_of_clip: dict[str, int] = {}
        self._recordings = _Recordings(place)

    def warnings(self) -> list[str]:
        """What looks wrong in the list and is used as it stands, a line each."""
        return [
            *doubtful.columns(self._columns),
            *doubtful.warnings(self.lines_of_label),
            *doubtful.recordings(self.lines_of_recording),
            *doubtful.clips(self._line_of_clip),
        ]

    def request(self, row: Row) -> Request:
        """The request of a row; RowError when it cannot be used."""
        clip_id, split = row.text("clip_id"), row.text("split").lower()
        for column in ("clip_id", "path"):
            if not row.text(column):
                raise RowError(f"{column} is empty")
        if FORMULA_ERROR.fullmatch(clip_id):
            raise RowError(f"clip_id is {clip_id}: a spreadsheet took it for a formula; mend it")
        if split not in SPLITS:
            raise RowError(f"unknown split {row.text('split')!r}: use {', '.join(SPLITS)}")
        start_s, end_s = row.seconds("start_s"), row.seconds("end_s")
        if end_s is not None and end_s <= (start_s or 0.0):
            raise RowError(f"end_s {end_s:g} is not after start_s {start_s or 0.0:g}")
        first = self._line_of_clip.setdefault(clip_id, row.line)
        if first != row.line:
            raise RowError(f"clip_id {clip_id} is used in line {first} already")
        file = _find(self._place, row.cells["path"])
        recording = self._recordings.name(file)
        labels = filter(None, map(clean, row.cells["labels"].split("|")))
        request = Request(
            clip_id=clip_id,
            source_id=row.text("source_id") or recording,
            split=split,
            labels=tuple(dict.fromkeys(labels)),
            start_s=start_s,
            end_s=end_s,
            # A changed file makes what was stored of it stale.
            locator={"path": file.path, **file.version},
        )
        self._columns = row.cells.keys()
        self.lines_of_recording.setdefault(request.source_id, []).append(row.line)
        for label in request.labels:
            self.lines_of_label.setdefault(label, []).append(row.line)
        return request


class _Recordings:
    """One name for each recording, however its path is spelt: that of the row that comes first."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._names: dict[object, str] = {}

    def name(self, file: Found) -> str:
        """The path from the list's folder, or the earlier one that leads to the same file."""
        known = [self._names[key] for key in file.keys if key in self._names]
        name = known[0] if known else self._from_folder(file.path)
        for key in file.keys:
            self._names.setdefault(key, name)
        return name

    def _from_folder(self, path: str) -> str:
        # An absolute path to somewhere else says most as it is.
        elsewhere = path if stores.is_address(path) else os.path.normpath(path)
        return self._place.inside(path) or elsewhere


def _find(place: Place, text: str) -> Found:
    """The file that a cell names; of spellings that are there, the nearest."""
    stripped = text.strip()
    bare = stripped.strip("\"'<>\u201c\u201d\u2018\u2019\u00ab\u00bb")
    if _ELSEWHERE.match(bare):
        raise RowError(
            f"path is {bare}: media are read from a disk, or from s3:// and gs:// addresses; name "
            "the file that you fetched"
        )
    # An address of a file is read as one.
    address = url2pathname(urlsplit(bare).path) if bare.startswith("file:") else bare
    spellings = (
        text,
        stripped,
        *(normalize(form, stripped) for form in ("NFC", "NFD")),
        clean(stripped),
        # As Windows writes it.
        stripped.replace("\\", "/"),
        address,
        with_home(address),
        unquote(address),
    )
    for spelling in dict.fromkeys(map(str, spellings)):
        try:
            if found := place.find(spelling):
                return found
        except (OSError, ValueError):
            continue
        except stores.StoreError as error:
            raise RowError(str(error)) from None
    return place.absent(stripped)


def _fetch(request: Request, copy: bool) -> Fetched:
    return take(str(request.locator["path"]), request.start_s, request.end_s, copy=copy)
