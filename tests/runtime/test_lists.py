"""Lists that people keep: what a spreadsheet or pandas writes is read, a bad row is named."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.runtime.errors import UserError
from mmlib.runtime.lists import Row, clean, has_columns, read_list, seconds
from tests.properties import examples

NAMES = ("a", "b", "c")
# Line ends are a row's end in a list, and a zero byte no text.
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=8)
ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5)


def written(folders: pytest.TempPathFactory, content: str | bytes) -> Path:
    """A file with that content, in a folder of its own."""
    path = folders.mktemp("list") / "list.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def cells(row: Row) -> list[str]:
    """The row's cells in the order of NAMES."""
    return [row.text(name) for name in NAMES]


@given(
    ROWS,
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig"]),
)
def test_what_is_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str]],
    delimiter: str,
    end: str,
    quoted: bool,
    encoding: str,
) -> None:
    stream = io.StringIO()
    writer = csv.writer(
        stream,
        delimiter=delimiter,
        lineterminator=end,
        quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL,
    )
    writer.writerows([NAMES, *rows])
    found = list(
        read_list(written(tmp_path_factory, stream.getvalue().encode(encoding)), NAMES, cells)
    )
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    assert found == [[clean(cell) for cell in row] for row in filled]


@given(ROWS.filter(len), st.data())
def test_a_quote_too_many_names_its_own_row(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(rows) - 1))
    plain = [["x" if not cell.strip() else cell.replace('"', "") for cell in row] for row in rows]
    lines = [",".join(f'"{cell}"' for cell in row) for row in plain]
    lines[place] = lines[place][:-1]
    with pytest.raises(UserError, match=rf"list\.csv, line {place + 2}: a quote is opened"):
        list(read_list(written(tmp_path_factory, "\n".join(["a,b,c", *lines, ""])), NAMES, cells))


@given(st.binary(max_size=60))
@examples(100)
def test_any_bytes_are_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = written(tmp_path_factory, b"a,b,c\n" + content)
    refused, found = "", []
    try:
        found = list(read_list(path, NAMES, cells))
    except UserError as error:
        refused = str(error)
    assert not refused or "list.csv, line " in refused
    assert len(found) <= content.count(b"\n") + content.count(b"\r") + 1


def test_columns_are_found_in_any_order_and_case(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = written(tmp_path_factory, "\ufeffsep=;\n\n ; ;\nC;x; b ;A\n1;2;3;4\n")
    assert has_columns(path, NAMES)
    assert list(read_list(path, NAMES, cells)) == [["4", "3", "1"]]
    assert not has_columns(path, ("a", "d"))
    with pytest.raises(UserError, match=r"line 4: no column d; it has c, x, b, a; needed are a, d"):
        list(read_list(path, ("a", "d"), cells))


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1.0), ("0.5", 0.5), (".5", 0.5), ("1e2", 100.0), ("-1", -1.0)],
)
def test_seconds(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "1_0", "1 0", "0x1", "\u0661", "1,5", "x"])
def test_no_seconds(text: str) -> None:
    assert seconds(text) is None


def test_a_decimal_comma() -> None:
    assert seconds("1,5", decimal_comma=True) == 1.5
    assert seconds("1,500,000", decimal_comma=True) is None


def test_clean() -> None:
    for text in ("caf\u00e9 x", " cafe\u0301\u00a0 x\t", "\ufeffcaf\u00e9\u200b\u2009x\u00ad"):
        assert clean(text) == "caf\u00e9 x"
    assert clean("\u00b2") == "\u00b2"


def test_joiners_stay_where_they_have_a_meaning() -> None:
    assert clean("do\u200dg\u200c") == "dog"
    for text in ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\U0001f469\u200d\U0001f692"):
        assert clean(text) == text
