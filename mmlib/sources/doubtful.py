"""What looks like something else in a list: labels, recordings and columns.

Such are lists in another form, empty cells, second spellings. They are used as they stand, since a
class may bear any name; a warning says which they are.
"""

import posixpath
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from mmlib.shards.rows.splits import NAMED

# What pandas, numpy, databases and spreadsheets write where there is nothing.
_EMPTY = {
    *("nan", "none", "null", "nil", "na", "n/a", "<na>", "nat", "#n/a", "undefined"),
    *("#name?", "#ref!", "#value!", "#div/0!", "#num!", "#null!", "#error!"),
    *("-", "--", "?"),
}
_BRACKETED = re.compile(r"\[.*\]|\(.*\)|\{.*\}|'.*'|\".*\"|“.*”|‘.*’|«.*»|\[.*|.*\]")
# Among them bars that are no |.
_ALWAYS = re.compile("[;\t；、，｜¦│∣]|,(?=\\S)")
# Names may hold these: "Male speech, man speaking".
_PERHAPS = re.compile(r"[,/+&]| and ")
_WHOLE_NUMBER = re.compile(r"0*(\d+)")
# Columns that are optional, and other names that people give them.
_MEANT = {
    "start_s": ("start", "start_sec", "start_seconds", "start_time", "time_start", "begin", "from"),
    "end_s": ("end", "end_sec", "end_seconds", "end_time", "time_end", "stop", "to"),
    "source_id": ("source", "recording", "recording_id", "video", "video_id", "youtube_id"),
}
_ROWS_NAMED = 3


def warnings(lines_of: Mapping[str, Sequence[int]]) -> list[str]:
    """A line for each kind of doubtful label in a list; `lines_of` maps a label to its rows."""
    kinds: Sequence[tuple[Callable[[str], bool], str]] = (
        (
            lambda label: _is_list(label, lines_of),
            "like a list in another form: labels are separated by |",
        ),
        (
            lambda label: label.casefold() in _EMPTY,
            "like an empty cell: leave the cell empty where a clip has no label",
        ),
        (
            lambda label: bool(re.fullmatch(r"-?\d+\.0+", label)),
            "like a whole number that was saved as a fraction",
        ),
    )
    found = []
    for is_such, what in kinds:
        labels = [label for label in lines_of if is_such(label)]
        if labels:
            found.append(_line(labels, lines_of, f"look{'s' * (len(labels) == 1)} {what}"))
    differ = "differ in their spelling only: each is a class"
    return found + [_line(group, lines_of, differ) for group in _alike(lines_of, _spelling)]


def recordings(lines_of: Mapping[str, Sequence[int]]) -> list[str]:
    """A line for each recording whose name comes in several spellings; `lines_of` as for labels."""
    differ = "differ in their spelling only; if they are one, spell them alike"
    return [_line(group, lines_of, differ, "recording") for group in _alike(lines_of, _place)]


def columns(names: Collection[str]) -> list[str]:
    """A line for each column that is passed over, but seems to be an optional one."""
    return [
        f"column {name} is passed over: {meant} is the name of what is read"
        for meant, others in _MEANT.items()
        if meant not in names
        for name in others
        if name in names
    ]


def _is_list(label: str, labels: Mapping[str, Sequence[int]]) -> bool:
    if _BRACKETED.fullmatch(label) or _ALWAYS.search(label):
        return True
    parts = [part.strip() for part in _PERHAPS.split(label)]
    return len(parts) > 1 and all(part in labels for part in parts if part)


def _spelling(label: str) -> str:
    """What two spellings of one label share: all but case, marks, widths and forms of numbers."""
    bare = unicodedata.normalize("NFKC", label).casefold().replace("’", "'")
    bare = "".join(char for char in bare if unicodedata.category(char) != "Cf")
    number = _WHOLE_NUMBER.fullmatch(bare)
    return number[1] if number else " ".join(re.split(r"[\s_-]+", bare.strip(" .,:!"))) or bare


def _place(recording: str) -> str:
    """What two spellings of one recording share: all but case and the form of a path."""
    return posixpath.normpath(_spelling(recording.replace("\\", "/"))).strip("/")


def _alike(names: Iterable[str], form: Callable[[str], str]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(form(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _line(
    labels: Sequence[str], lines_of: Mapping[str, Sequence[int]], what: str, noun: str = "label"
) -> str:
    named = ", ".join(f"{label!r} ({_rows(lines_of[label])})" for label in labels[:NAMED])
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return f"{len(labels)} {noun}{'s' * (len(labels) > 1)} {what}: {named}{more}"


def _rows(lines: Sequence[int]) -> str:
    first = ", ".join(map(str, lines[:_ROWS_NAMED]))
    more = ", ..." if len(lines) > _ROWS_NAMED else ""
    many = len(lines) > 1
    return f"{len(lines)} row{'s' * many}, line{'s' * many} {first}{more}"
