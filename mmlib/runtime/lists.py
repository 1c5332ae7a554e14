"""Lists that people keep: csv as published, or as a spreadsheet or pandas saved it again.

A byte-order mark, any line ends, semicolons or tabs where the header has them, blanks around cells,
empty rows and empty columns are all read. A row that cannot be is named, never passed over: each
row is one line, so that a quote that is not closed spoils its own row and swallows none.
"""

import csv
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from mmlib.runtime.errors import UserError

Item = TypeVar("Item")

_DELIMITERS = (",", ";", "\t")
# What a spreadsheet puts first to tell itself the delimiter.
_SEPARATOR_LINE = re.compile(r"sep=.", re.IGNORECASE)
_AFTER_QUOTE = re.compile(r'"[ \t]+(?=[,;\t]|$)')
_SECONDS = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|[+-]?\.\d+", re.ASCII)
# Characters without width or meaning, which pasted text carries along: hyphens that do not show,
# blanks of no width, marks of the direction of writing.
_INVISIBLE = dict.fromkeys(
    (
        *(0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, 0xFEFF),
        *(*range(0x202A, 0x202F), *range(0x2060, 0x2070)),
    )
)
# Joiners have a meaning between letters of some scripts, and between the parts of a picture.
_IDLE_JOINER = re.compile("(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])")


FORMULA_ERROR = re.compile(r"#(?:NAME\?|REF!|VALUE!|DIV/0!|NUM!|NULL!|N/A|ERROR!)")
"""What a spreadsheet leaves of a cell that begins with - or =, which it takes for a formula."""


class RowError(ValueError):
    """What is wrong with a row; its file and line are added by the reader."""


def clean(text: str) -> str:
    """A name in the one form in which it is compared: composed, single blanks, none at the ends.

    No-break spaces count as blanks; characters that nobody sees are dropped.
    """
    if text.isascii():
        return " ".join(text.split())
    return " ".join(unicodedata.normalize("NFC", visible(text)).split())


def visible(text: str) -> str:
    """A text without the characters that nobody sees, and with a plain blank for no-break ones."""
    if text.isascii():
        return text
    return _IDLE_JOINER.sub("", text.translate(_INVISIBLE)).replace("\u00a0", " ")


class Row(NamedTuple):
    """One row: its line in the file, and its cells as written, by column in lower case."""

    line: int
    cells: Mapping[str, str]
    decimal_comma: bool = False

    def has(self, column: str) -> bool:
        """Tell whether the list has such a column."""
        return column in self.cells

    def text(self, column: str) -> str:
        """A cell as `clean` leaves it; empty where there is no such column."""
        return clean(self.cells.get(column, ""))

    def seconds(self, column: str) -> float | None:
        """A cell as seconds, 0 or more; None where it is empty. RowError for anything else."""
        text = self.text(column)
        if not text:
            return None
        value = seconds(text, decimal_comma=self.decimal_comma)
        if value is None:
            raise RowError(f"{column} is {text!r}, not a number of seconds, such as 12.5")
        if not (math.isfinite(value) and value >= 0):
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
    lines = _lines(path)
    number, names, delimiter = _header(lines, needed)
    _check_header(path, number, names, needed, delimiter)
    for line, text in lines:
        try:
            cells = split(text, delimiter)
            if len(cells) == 1 < len(names):
                # A spreadsheet of another country takes the line for one cell, and quotes it.
                cells = split(cells[0], delimiter)
            if any(cell.strip() for cell in cells):
                yield make(Row(line, _by_name(names, cells), delimiter != ","))
        except RowError as error:
            raise fault(path, line, str(error)) from None


def has_columns(path: Path, needed: Sequence[str]) -> bool:
    """Tell whether a file is such a list, by its header. UserError where it is in UTF-16."""
    with path.open("rb") as stream:
        start = stream.read(1 << 16)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        next(_lines(path))
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


def fault(path: Path, line: int, what: str) -> UserError:
    """The error that names a line of a file."""
    return UserError(f"{path}, line {line}: {what}")


def checked_text(path: Path, number: int, line: str) -> str:
    """A line that was decoded with surrogateescape, if it is UTF-8; else UserError with its place.

    A zero byte is refused too: that is what UTF-16 without its mark looks like.
    """
    if not line.isascii():
        try:
            line.encode()
        except UnicodeEncodeError as error:
            byte = ord(line[error.start]) - 0xDC00
            is_wide = number == 1 and line[:2] in ("\udcff\udcfe", "\udcfe\udcff")
            what = "UTF-16, not UTF-8" if is_wide else f"not UTF-8 (byte 0x{byte:02x})"
            raise fault(path, number, f"{what}: save the list as UTF-8") from None
    if "\0" in line:
        raise fault(path, number, "it holds a zero byte: save the list as UTF-8 text")
    return line


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Each line with its number, without its end."""
    with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
        for number, line in enumerate(stream, 1):
            yield number, checked_text(path, number, line).rstrip("\r\n")


def _header(lines: Iterator[tuple[int, str]], needed: Sequence[str]) -> tuple[int, list[str], str]:
    """The header's line, its columns in lower case, and the delimiter under which it has most."""
    for number, line in lines:
        if not line.strip(" \t,;") or _SEPARATOR_LINE.fullmatch(line.strip()):
            continue
        found = []
        for delimiter in _DELIMITERS:
            try:
                cells = split(line, delimiter)
            except RowError:
                continue
            # A title's own blanks and hyphens stand for the underscores of a name.
            names = [re.sub("[ -]", "_", clean(cell).casefold()) for cell in cells]
            found.append((len(set(needed) & set(names)), names, delimiter))
        if found:
            return number, *max(found, key=lambda one: one[0])[1:]
        return number, [], ","
    return 1, [], ","


def _check_header(
    path: Path, line: int, names: Sequence[str], needed: Sequence[str], delimiter: str
) -> None:
    missing = [name for name in needed if name not in names]
    if missing:
        has = ", ".join(name for name in names if name) or "none"
        raise fault(
            path,
            line,
            f"no column {', '.join(missing)}; it has {has}; needed are {', '.join(needed)}, "
            "separated by commas, semicolons or tabs",
        )
    twice = [name for name in names if name and names.count(name) > 1]
    if twice:
        raise fault(path, line, f"column {twice[0]} is there twice")


def _by_name(names: Sequence[str], cells: list[str]) -> dict[str, str]:
    # Spreadsheets fill rows up with empty cells.
    if len(cells) < len(names) or any(cell.strip() for cell in cells[len(names) :]):
        raise RowError(
            f"the number of fields ({len(cells)}) differs from the header's ({len(names)}); "
            "quote names that hold the delimiter"
        )
    return dict(zip(names, cells, strict=False))
