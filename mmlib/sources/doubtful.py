"""Labels that look like something else: a list in another form, an empty cell, a second spelling.

They are used as they stand, since a class may bear any name; a warning says which they are.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from mmlib.shards.rows.splits import NAMED

# What pandas, numpy, databases and spreadsheets write where there is nothing.
_EMPTY = {
    *("nan", "none", "null", "nil", "na", "n/a", "<na>", "nat", "#n/a", "undefined"),
    *("-", "--", "?"),
}
_BRACKETED = re.compile(r"\[.*\]|\(.*\)|\{.*\}|'.*'|\".*\"|\[.*|.*\]")
_ALWAYS = re.compile(r"[;\t]|,(?=\S)")
# Names may hold these: "Male speech, man speaking".
_PERHAPS = re.compile(r"[,/+&]")
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
    return found + [_line(spellings, lines_of, differ) for spellings in _spellings(lines_of)]


def _is_list(label: str, labels: Mapping[str, Sequence[int]]) -> bool:
    if _BRACKETED.fullmatch(label) or _ALWAYS.search(label):
        return True
    parts = [part.strip() for part in _PERHAPS.split(label)]
    return len(parts) > 1 and all(part in labels for part in parts if part)


def _spellings(labels: Mapping[str, Sequence[int]]) -> list[list[str]]:
    """Labels that are the same but for case, underscores and hyphens."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(" ".join(re.split(r"[\s_-]+", label.casefold())), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def _line(labels: Sequence[str], lines_of: Mapping[str, Sequence[int]], what: str) -> str:
    named = ", ".join(f"{label!r} ({_rows(lines_of[label])})" for label in labels[:NAMED])
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return f"{len(labels)} label{'s' * (len(labels) > 1)} {what}: {named}{more}"


def _rows(lines: Sequence[int]) -> str:
    first = ", ".join(map(str, lines[:_ROWS_NAMED]))
    more = ", ..." if len(lines) > _ROWS_NAMED else ""
    many = len(lines) > 1
    return f"{len(lines)} row{'s' * many}, line{'s' * many} {first}{more}"
