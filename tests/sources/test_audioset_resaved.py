"""AudioSet's lists after a spreadsheet, pandas or an editor: the same segments and classes."""

import csv
import io
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmlib.sources import audioset
from mmlib.sources.audioset_lists import read_segments
from mmlib.sources.segments import Segments
from tests.sources.test_audioset import EVAL, TRAIN
from tests.sources.video_lists import CLASSES, HEADER, MIDS, NAMES, data_params, write_lists

HEADS = ("# YTID", "start_seconds", "end_seconds", "positive_labels")


def _cells(text: str) -> list[list[str]]:
    """A list's rows as a reader that knows its form sees them."""
    return [row for row in csv.reader(text.splitlines(), skipinitialspace=True) if row]


def _written(rows: list[list[str]], **dialect: Any) -> str:
    stream = io.StringIO()
    csv.writer(stream, **dialect).writerows(rows)
    return stream.getvalue()


FORMS: dict[str, Callable[[str], str]] = {
    "a byte-order mark": lambda text: "\ufeff" + HEADER + text,
    "no header": lambda text: text,
    "a mark and no header": lambda text: "\ufeff" + text,
    "no blanks, quotes where needed": lambda text: (
        "\ufeff" + _written([[name.lstrip("# ") for name in HEADS], *_cells(text)])
    ),
    "quotes everywhere": lambda text: _written(
        [[*HEADS], *_cells(text)], quoting=csv.QUOTE_ALL, lineterminator="\n"
    ),
    "semicolons": lambda text: _written([[*HEADS], *_cells(text)], delimiter=";"),
    "semicolons and decimal commas": lambda text: _written(
        [[*HEADS], *([c[0], *(x.replace(".", ",") for x in c[1:3]), c[3]] for c in _cells(text))],
        delimiter=";",
    ),
    "tabs": lambda text: _written([[*HEADS], *_cells(text)], delimiter="\t"),
    "mids cut apart at their commas": lambda text: _written(
        [*csv.reader((HEADER + text).splitlines())]
    ),
    "whole lines in one cell": lambda text: _written(
        [[line] for line in (HEADER + text).splitlines()], delimiter=";"
    ),
    "an index in front": lambda text: _written(
        [["", *HEADS], *([str(n), *row] for n, row in enumerate(_cells(text)))]
    ),
    "columns in another order": lambda text: _written(
        [row[::-1] for row in [[*HEADS], *_cells(text)]]
    ),
    "rows filled up": lambda text: "".join(
        f"{line},,\r\n" for line in ("#,", *text.splitlines(), "")
    ),
    "blanks that do not break, and others that do not show": lambda text: (
        HEADER + "\u200b" + text.replace(" ", "\u00a0").replace(",/", ",\u2060/")
    ),
    "a line that names the delimiter, which became a row": lambda text: (
        "sep=;,,,\n" + _written([[*HEADS], *_cells(text)])
    ),
    "titles with blanks": lambda text: _written(
        [[name.replace("_", " ").title() for name in HEADS], *_cells(text)]
    ),
    "columns that are not asked for": lambda text: _written(
        [[*HEADS, "human", ""], *([*row, "Speech,Music", ""] for row in _cells(text))]
    ),
    "mids cut apart, and rows and header filled up": lambda text: _written(
        [[*row, "", ""] for row in csv.reader((HEADER + text).splitlines())]
    ),
    "times as sums of floats": lambda text: (
        HEADER
        + text.replace("20.000,", "19.999999999999996,").replace("30.000,", "30.00000000000001,")
    ),
    "old line ends": lambda text: (HEADER + text).replace("\n", "\r"),
}


@pytest.mark.parametrize("form", FORMS)
def test_lists_that_were_saved_again(tmp_path: Path, form: str) -> None:
    text = TRAIN + EVAL
    lists = (tmp_path / "published.csv", tmp_path / "again.csv")
    lists[0].write_text(HEADER + text, encoding="utf-8")
    lists[1].write_text(FORMS[form](text), encoding="utf-8", newline="")
    places = {mid: place for place, mid in enumerate(MIDS)}
    published, again = (read_segments(path, places, "train") for path in lists)
    for field in fields(Segments):
        assert np.array_equal(getattr(again, field.name), getattr(published, field.name))


@pytest.mark.parametrize(
    "classes",
    [
        "\ufeff" + CLASSES.replace("\n", "\r\n"),
        CLASSES.replace('"Speech"', "Speech \u00a0") + ",,\n",
        _written([*csv.reader(CLASSES.splitlines())], delimiter=";"),
        _written([["", *row] for row in csv.reader(CLASSES.splitlines())], delimiter="\t"),
    ],
)
def test_class_lists_that_were_saved_again(tmp_path: Path, classes: str) -> None:
    data = data_params("audioset", write_lists(tmp_path, TRAIN, EVAL, classes))
    assert audioset.clip_list(data, 0).classes == NAMES
