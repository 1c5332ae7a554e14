"""Tables with their alignment decided, ready for the template, and the paper's own numbers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

# Table 1 of the paper (arXiv 2203.12122), AudioSet: role -> condition -> mAP, AUC, d'.
PAPER: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    "audio": {"clean": (0.383, 0.963, 2.521), "A": (0.183, 0.895, 1.770)},
    "gblend": {
        "clean": (0.427, 0.971, 2.686),
        "AV": (0.182, 0.889, 1.836),
        "V": (0.339, 0.954, 2.441),
        "A": (0.310, 0.940, 2.276),
    },
    "mixup": {"clean": (0.424, 0.972, 2.711), "AV": (0.234, 0.891, 1.983)},
    "adversarial": {"clean": (0.397, 0.964, 2.530), "AV": (0.199, 0.900, 1.861)},
}
PAPER_AUDIO_NET = "cnn14"
"""The net of the paper's audio row, which it calls PANNs: another net's run has no row there."""

PAPER_ROWS = {
    "audio": "audio uni-modal (PANNs)",
    "gblend": "mid fusion (G-Blend)",
    "mixup": "mid fusion, mixup",
    "adversarial": "mid fusion, AT",
}


class Cell(NamedTuple):
    """Text of one cell, a smaller note after it, and its alignment: num, word or text."""

    text: str | Markup
    note: str = ""
    kind: str = "num"


class Head(NamedTuple):
    """A column's heading and alignment."""

    text: str
    kind: str = "num"


class Group(NamedTuple):
    """A heading above `span` columns; empty text leaves them bare."""

    text: str
    span: int


class Row(NamedTuple):
    """A row: its name, the run whose mark stands before it, whether it opens a block of rows."""

    name: str
    cells: Sequence[Cell]
    run: int | None = None
    first: bool = False


class Table(NamedTuple):
    """A table with its caption; `title` is its name for screen readers, `wrap` breaks row names."""

    title: str
    head: Sequence[Head]
    rows: Sequence[Row]
    caption: str | Markup = ""
    groups: Sequence[Group] = ()
    wrap: bool = False


def state(text: str) -> Cell:
    """A cell with a verdict or the state of a check."""
    return Cell(Markup('<span class="state">{}</span>').format(text), kind="word")
