"""AudioSet's segment lists as a spreadsheet, pandas or a person saved them again.

The published form has a blank after each comma, so that a spreadsheet takes the quotes for text and
cuts the mids apart; saving puts quotes around the pieces. Here all such lines become one.
"""

import re
from pathlib import Path

from mmlib.runtime.list_text import checked_text
from mmlib.runtime.lists import SEPARATOR_LINE, Marks, RowError, column_name, split
from mmlib.runtime.names import FORMULA_ERROR, visible

Groups = tuple[bytes, bytes, bytes | None, bytes, bytes | None, bytes, None]
"""What the pattern of the published form finds: id, start, its decimals, end, its, mids, None."""

WANTED = 'want <id>, <start>, <end>, "<mid>,..."'
_COLUMNS = ("ytid", "start_seconds", "end_seconds", "positive_labels")
_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
_TIME = re.compile(r"(\d{1,6})(?:[.](\d+))?", re.ASCII)


class Resaved:
    """Reads the lines of one list that are not in the published form.

    Remembers what the header says, the delimiter and the order of the columns, and what marks the
    decimals.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._delimiter = ","
        self._places = {name: place for place, name in enumerate(_COLUMNS)}
        self._width = len(_COLUMNS)
        self._marks = Marks()

    def groups(self, number: int, line: bytes) -> Groups | None:
        """What a line says; None for a comment, a header or an empty row.

        RowError for a line that is none of it, UserError where it is not UTF-8.
        """
        text = line.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape")
        text = visible(checked_text(self._path, number, text)).strip()
        bare = text.lstrip('" ')
        if not text.strip(' \t,;"') or (number == 1 and SEPARATOR_LINE.fullmatch(text)):
            return None
        is_comment = bare.startswith("#") and not FORMULA_ERROR.match(bare)
        if "ytid" in text.lower() and self._is_header(text.replace("#", "", 1)):
            return None
        if is_comment:
            return None
        cells = split(text, self._delimiter)
        filled = [cell for cell in cells if cell.strip()]
        # A whole line in one cell: what another country's spreadsheet makes of commas.
        return self._clip(split(filled[0], ",") if len(filled) == 1 else cells)

    def _is_header(self, text: str) -> bool:
        for delimiter in (",", ";", "\t"):
            try:
                names = [column_name(cell) for cell in split(text.strip(), delimiter)]
            except RowError:
                continue
            if set(_COLUMNS) <= set(names):
                if twice := [name for name in _COLUMNS if names.count(name) > 1]:
                    raise RowError(f"column {twice[0]} is there twice")
                self._delimiter = delimiter
                self._width = len(_filled(names))
                self._places = {name: names.index(name) for name in _COLUMNS}
                return True
        return False

    def _clip(self, cells: list[str]) -> Groups:
        places = self._places
        if len(cells) <= max(places.values()):
            raise RowError(WANTED)
        video, *times = (cells[places[name]].strip(' \t"') for name in _COLUMNS[:3])
        if self._delimiter != ",":
            for time in times:
                self._marks.note(time)
            times = [time.replace(",", ".", 1) for time in times]
        found = [_TIME.fullmatch(time) for time in times]
        # Mids that were cut apart stand in cells of their own, if theirs is the last column that is
        # read: of one that follows, a row with more cells than titles is refused for it.
        last = places["positive_labels"]
        apart = last == max(places.values()) and len(_filled(cells)) > self._width
        end = len(cells) if apart or last == self._width - 1 else last + 1
        mids = ",".join(cells[last:end]).replace('"', "").replace(";", ",")
        named = ",".join(mid.strip() for mid in mids.split(",") if mid.strip())
        if not (_ID.fullmatch(video) and named and found[0] and found[1]):
            raise RowError(WANTED)
        (start, start_rest), (stop, stop_rest) = found[0].groups(), found[1].groups()
        return (
            video.encode(),
            start.encode(),
            start_rest.encode() if start_rest else None,
            stop.encode(),
            stop_rest.encode() if stop_rest else None,
            named.encode(),
            None,
        )


def _filled(cells: list[str]) -> list[str]:
    """Cells without the empty ones at the end."""
    while cells and not cells[-1].strip():
        cells = cells[:-1]
    return cells
