"""Lists that people keep: csv as published, or as a spreadsheet or pandas saved it again.

A byte-order mark, any line ends, semicolons or tabs where the header has them, blanks around cells,
comments, empty rows and empty columns are all read. A row that cannot be is named, never passed
over: each row is one line, so that a quote that is not closed spoils its own row and swallows none.
"""

import csv
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from mmlib.runtime.list_text import fault, numbered_lines
from mmlib.runtime.names import NO_VALUE, clean

Item = TypeVar("Item")

_DELIMITERS = (",", ";", "\t")
_AFTER_QUOTE = re.compile(r'"[ \t]+(?=[,;\t]|$)')
_SECONDS = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|[+-]?\.\d+", re.ASCII)
SEPARATOR_LINE = re.compile(r'"?sep=."?[,;\t ]*', re.IGNORECASE)
"""What a spreadsheet puts first to tell itself the delimiter."""


class RowError(ValueError):
    """What is wrong with a row; its file and line are added by the reader."""


class Marks(dict[str, str]):
    """The decimal marks that a list's numbers had so far, each with the first that had it."""

    def note(self, number: str) -> None:
        """RowError for a list with both: one of them would part thousands, and 1.000 be 1."""
        for mark, other in (",.", ".,"):
            if mark in number:
                self.setdefault(mark, number)
                if other in self:
                    raise RowError(
                        f"{number} has another decimal mark than {self[other]}, or one between "
                        "thousands: write all numbers of a list alike, such as 1000.5"
                    )


class Row(NamedTuple):
    """One row: its line in the file, and its cells as written, by column in lower case.

    `marks`: those of the list, where numbers may have a decimal comma. `twice`: columns that the
    header has twice.
    """

    line: int
    cells: Mapping[str, str]
    marks: Marks | None = None
    twice: Collection[str] = ()

    def has(self, column: str) -> bool:
        """Tell whether the list has such a column."""
        return column in self.cells

    def text(self, column: str) -> str:
        """A cell as `clean` leaves it; empty where there is no such column, RowError for two."""
        if column in self.twice:
            raise RowError(f"column {column} is there twice")
        return clean(self.cells.get(column, ""))

    def number(self, column: str) -> float | None:
        """A cell as `seconds` reads it, in a list that has one decimal mark."""
        text = self.text(column)
        if self.marks is not None:
            self.marks.note(text)
        return seconds(text, decimal_comma=self.marks is not None)

    def seconds(self, column: str) -> float | None:
        """A cell as seconds, 0 or more; None where it is empty. RowError for anything else."""
        text = self.text(column)
        if not text or text.casefold() in NO_VALUE:
            return None
        value = self.number(column)
        if value is None:
            raise RowError(f"{column} is {text!r}, not a number of seconds, such as 12.5")
        if math.isinf(value):
            raise RowError(f"{column} is {text}: leave the cell empty where there is no limit")
        if value < 0:
            raise RowError(f"{column} is {text}: it must be 0 or more")
        return value


def seconds(text: str, *, decimal_comma: bool = False) -> float | None:
    """The number in a cell, "nan" and "inf" among them; None where it holds another text."""
    if decimal_comma:
        text = text.replace(",", ".", 1)
    if _SECONDS.fullmatch(text) or text.lower() in ("nan", "inf", "-inf"):
        return float(text)
    return None


def read_list(path: Path, needed: Sequence[str], make: Callable[[Row], Item]) -> Iterator[Item]:
    """What `make` gives for each row of a list that has the `needed` columns, in any order.

    UserError names the file, and the line where a row cannot be read or `make` raises RowError.
    """
    lines = numbered_lines(path)
    number, names, delimiter = _header(lines, needed)
    _check_header(path, number, names, needed)
    least = 1 + max(map(names.index, needed))
    marks = Marks() if delimiter != "," else None
    twice = frozenset(name for name in names if names.count(name) > 1)
    begun = False
    for line, text in lines:
        try:
            cells = split(text.rstrip("\r\n"), delimiter)
            if len(cells) == 1 < len(names):
                # A spreadsheet of another country takes the line for one cell, and quotes it.
                cells = split(cells[0], delimiter)
            if len(cells) < len(names) and text.startswith("#"):
                continue
            if not begun and _has_row_name(cells, names, text, delimiter):
                names, least = ["", *names], least + 1
            if any(cell.strip() for cell in cells):
                begun = True
                # A row without an end may have lost more than its end.
                by_name = _by_name(names, cells, least if text[-1] in "\r\n" else len(names))
                yield make(Row(line, by_name, marks, twice))
        except RowError as error:
            raise fault(path, line, str(error)) from None


def has_columns(path: Path, needed: Sequence[str]) -> bool:
    """Tell whether a file is such a list, by its header. UserError where it is no text in UTF-8."""
    with path.open("rb") as stream:
        start = stream.read(1 << 16)
    next(numbered_lines(path), None)
    text = start.decode("utf-8-sig", "replace")
    lines = enumerate(re.split(r"\r\n|\r|\n", text), 1)
    return set(needed) <= set(_header(iter(lines), needed)[1])


def split(line: str, delimiter: str) -> list[str]:
    """The cells of one line; RowError where its quotes do not close."""
    tries = (line, _AFTER_QUOTE.sub('"', line)) if '"' in line else (line,)
    for text in tries:
        try:
            reader = csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=True)
            return next(reader, [])
        except csv.Error as error:
            reason = str(error)
    if "end of data" in reason:
        raise RowError("a quote is opened and not closed in this line")
    raise RowError(f"{reason}; is there a quote too many?")


def _header(lines: Iterator[tuple[int, str]], needed: Sequence[str]) -> tuple[int, list[str], str]:
    """The header's line, its columns in lower case, and the delimiter under which it has most."""
    number = 1
    for number, raw in lines:
        line = raw.strip("\r\n")
        if not line.strip(" \t,;") or SEPARATOR_LINE.fullmatch(line.strip()):
            continue
        is_comment = line.lstrip('\ufeff "').startswith("#")
        found = []
        for delimiter in _DELIMITERS:
            try:
                cells = split(line.replace("#", "", 1) if is_comment else line, delimiter)
                # Saved again as one cell, as rows may be.
                cells = split(cells[0], delimiter) if len(cells) == 1 else cells
            except RowError:
                continue
            names = [column_name(cell) for cell in cells]
            found.append((len(set(needed) & set(names)), names, delimiter))
        if not found:
            return number, [], ","
        count, names, delimiter = max(found, key=lambda one: one[0])
        if not is_comment or 2 * count >= len(needed):
            return number, names, delimiter
    return number, [], ","


def column_name(cell: str) -> str:
    """A title of a column as a name: its own blanks and hyphens stand for underscores."""
    return re.sub("[ -]", "_", clean(cell).casefold())


def _has_row_name(cells: list[str], names: list[str], text: str, delimiter: str) -> bool:
    """Tell whether a row begins with its name or number, which has no title, as R writes lists.

    A comma too many, as in a path that is not quoted, is no such name.
    """
    if len(cells) != len(names) + 1 or not cells[-1].strip():
        return False
    return text.startswith('"') or (delimiter != "," and cells[0].isdecimal())


def _check_header(path: Path, line: int, names: Sequence[str], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in names]
    if missing:
        has = ", ".join(name for name in names if name) or "none"
        raise fault(
            path,
            line,
            f"no column {', '.join(missing)}; it has {has}; needed are {', '.join(needed)}, "
            "separated by commas, semicolons or tabs",
        )
    twice = [name for name in needed if names.count(name) > 1]
    if twice:
        raise fault(path, line, f"column {twice[0]} is there twice")


def _by_name(names: list[str], cells: list[str], least: int) -> dict[str, str]:
    # Spreadsheets fill rows up with empty cells, and leave out those at the end for rows on end.
    if len(cells) < least or any(cell.strip() for cell in cells[len(names) :]):
        raise RowError(
            f"the number of fields ({len(cells)}) differs from the header's ({len(names)}); "
            "quote names and numbers that hold the delimiter"
        )
    return dict(zip(names, cells + [""] * (len(names) - len(cells)), strict=False))
