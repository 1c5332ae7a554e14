"""What looks like something else in a list: labels, recordings and columns.

Such are lists in another form, empty cells, second spellings. They are used as they stand, since a
class may bear any name; a warning says which they are.
"""

import html
import posixpath
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from urllib.parse import unquote

from mmlib.runtime.names import FORMULA_ERROR, NO_VALUE
from mmlib.shards.rows.splits import NAMED

# What is written where there is nothing, by programs and by people.
_EMPTY = NO_VALUE | {"undefined", "unlabeled", "unlabelled", "no label", "missing", "(null)"}
_NOTHING = re.compile(r"[-.?…–—'\"]+|set\(\)")
# Several numbers stand for classes, or say of each class whether it is there.
_PLACES = re.compile(r"\d+(?: \d+)+")
_SAVED = re.compile(r"-?\d+\.0+|\d+(?:[.,]\d+)?[eE]\+?\d+")
_YOUTUBE = re.compile(
    r".*(?:youtu\.be/|youtube\.com/(?:watch\?(?:.*&)?v=|shorts/|embed/))([\w-]{11})\b.*"
)
_HYPHENS = re.compile("[\\s_\u2010-\u2015\u2212-]+")
_BRACKETED = re.compile(r"\[.*\]|\(.*\)|\{.*\}|'.*'|\".*\"|“.*”|‘.*’|«.*»|\[.*|.*\]")
# Among them bars that are no |.
_ALWAYS = re.compile("[;\t；、，｜¦│∣]|,(?=\\S)")
# Names may hold these: "Male speech, man speaking".
_PERHAPS = re.compile(r"[,/+&\\^~:#_]| and | - ")
_WHOLE_NUMBER = re.compile(r"0*(\d+)")
# Columns that are optional, and other names that people give them.
_MEANT = {
    "start_s": r"(time_?|t_)?(starts?|begins?|onset|from)(_|\W|$|time).*|t0",
    "end_s": r"(time_?|t_)?(ends?|stop|offset|to)(_|\W|$|time).*|t1",
    "source_id": r"(source|recording|video|youtube)(_?id)?",
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
            _is_empty,
            "like an empty cell: leave the cell empty where a clip has no label",
        ),
        (
            lambda label: bool(_SAVED.fullmatch(label)),
            "like a whole number that was saved as a fraction or a power",
        ),
        (_is_garbled, "like text that was read in another encoding, or taken from a web page"),
        (_is_mixed, "like words of one alphabet, with letters of another"),
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
    found = []
    empty = [name for name in lines_of if _is_empty(name)]
    if empty:
        what = "named as if the cell were empty: its clips count as cut from one recording"
        found.append(_line(empty, lines_of, what, "recording"))
    powers = [name for name in lines_of if _SAVED.fullmatch(name) and not name.endswith("0")]
    if powers:
        what = "shortened by a spreadsheet, as it seems, so that several may have become one"
        found.append(_line(powers, lines_of, what, "recording"))
    differ = "differ in their spelling only; if they are one, spell them alike"
    return found + [
        _line(group, lines_of, differ, "recording") for group in _alike(lines_of, _place)
    ]


def clips(line_of: Mapping[str, int]) -> list[str]:
    """A line for clips whose names begin as a comment does; `line_of` maps a clip to its row."""
    found = {name: [line] for name, line in line_of.items() if name.startswith("#")}
    what = "named with a # in front: used, not passed over as a comment"
    return [_line(list(found), found, what, "clip")] if found else []


def columns(names: Collection[str]) -> list[str]:
    """A line for each column that is passed over, but seems to be an optional one."""
    return [
        f"column {name} is passed over: {meant} is the name of what is read"
        for meant, others in _MEANT.items()
        if meant not in names
        for name in names
        if re.fullmatch(others, name)
    ]


def _is_list(label: str, labels: Mapping[str, Sequence[int]]) -> bool:
    if _is_empty(label) or _is_garbled(label):
        return False
    if _BRACKETED.fullmatch(label) or _ALWAYS.search(label) or _PLACES.fullmatch(label):
        return True
    parts = [part.strip() for part in _PERHAPS.split(label) if part.strip()]
    return len(parts) > 1 and all(part in labels for part in parts)


def _is_empty(label: str) -> bool:
    is_nothing = label.casefold() in _EMPTY or _NOTHING.fullmatch(label)
    return bool(is_nothing or FORMULA_ERROR.fullmatch(label))


def _is_garbled(label: str) -> bool:
    if "\ufffd" in label or html.unescape(label) != label:
        return True
    try:
        return label.encode("cp1252").decode() != label
    except UnicodeError:
        return False


def _is_mixed(label: str) -> bool:
    """Tell whether a word has letters that look alike and are not: those of two alphabets."""
    alike = ("LATIN", "CYRILLIC", "GREEK")
    for word in re.findall(r"[^\W\d_]+", label):
        names = {unicodedata.name(letter, "").partition(" ")[0] for letter in word}
        if not word.isascii() and len(names.intersection(alike)) > 1:
            return True
    return False


def _spelling(label: str) -> str:
    """What two spellings of one label share: all but case, marks, widths and forms of numbers."""
    bare = unicodedata.normalize("NFKC", label).casefold().replace("’", "'")
    bare = "".join(char for char in bare if unicodedata.category(char) != "Cf")
    number = _WHOLE_NUMBER.fullmatch(bare)
    bare = unquote(bare)
    return number[1] if number else " ".join(_HYPHENS.split(bare.strip(" .,:!'\"`"))) or bare


def _place(recording: str) -> str:
    """What two spellings of one recording share: all but case and the form of a path."""
    if video := _YOUTUBE.fullmatch(recording):
        recording = video[1]
    whole = re.sub(r"^(\d+)\.0+$", r"\1", recording)
    return posixpath.normpath(_spelling(whole.replace("\\", "/"))).strip("/")


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
