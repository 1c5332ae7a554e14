"""Lists that people keep: what a spreadsheet or pandas writes is read, a bad row is named."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.runtime.errors import UserError
from mmlib.runtime.lists import Row, has_columns, read_list, seconds
from mmlib.runtime.names import clean
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


@pytest.mark.parametrize(
    "text",
    [
        "# made by me, by hand\n#\n\na,b,c\n1,2,3\n# a, b\n4,5,6\n",
        "# a,b,c\n1,2,3\n4,5,6\n",
        '"sep=;"\na;b;c\n1;2;3\n4;5;6\n',
        "sep=;,,,\na,b,c\n1,2,3\n4,5,6\n",
        "a,b,c,note,note\n1,2,3,x,y\n4,5,6,,\n",
        # Blocks of rows whose last cells are empty lose the delimiters too.
        "a,b,c,d,e\n1,2,3,x,y\n4,5,6\n",
        "a,b,c,\n1,2,3\n4,5,6\n",
        # R gives the names of rows no title.
        '"a","b","c"\n"1",1,2,3\n"2",4,5,6\n',
        '"a";"b";"c"\n"x";1;2;3\n"y";4;5;6\n',
        "a\tb\tc\n1\t1\t2\t3\n7\t4\t5\t6\n",
    ],
)
def test_what_programs_add_and_leave_out(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = written(tmp_path_factory, text)
    assert has_columns(path, NAMES)
    assert list(read_list(path, NAMES, cells)) == [["1", "2", "3"], ["4", "5", "6"]]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        # A comma that is not quoted.
        ("a,b,c\n1,x,y,3\n", 2),
        ('"a","b","c"\n1,2,3\n"2",4,5,6\n', 3),
        ('"a","b","c"\n"1",1,2,3\n4,5,6\n', 3),
    ],
)
def test_a_field_too_many_is_no_name_of_a_row(
    tmp_path_factory: pytest.TempPathFactory, text: str, line: int
) -> None:
    path = written(tmp_path_factory, text)
    with pytest.raises(UserError, match=f"line {line}: the number of fields"):
        list(read_list(path, NAMES, cells))


def test_a_short_row_without_an_end_was_cut(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = written(tmp_path_factory, "a,b,c,d\n1,2,3,4\n5,6,7")
    with pytest.raises(UserError, match=r"line 3: the number of fields \(3\) differs"):
        list(read_list(path, NAMES, cells))


def test_a_column_that_is_there_twice_is_refused_when_it_is_read(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = written(tmp_path_factory, "a,b,c,d,d\n1,2,3,4,5\n")
    with pytest.raises(UserError, match="line 2: column d is there twice"):
        list(read_list(path, NAMES, lambda row: row.text("d")))


def test_a_list_has_one_decimal_mark(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Else 1.000 beside 0,5 would be one second, not a thousand."""
    path = written(tmp_path_factory, "a;b;c\n0,5;x;\n1.000;x;\n")
    with pytest.raises(UserError, match=r"line 3: 1\.000 has another decimal mark than 0,5"):
        list(read_list(path, NAMES, lambda row: row.number("a")))
    path = written(tmp_path_factory, "a;b;c\n0.5;x;NA\n1.000;x;\n")
    assert list(read_list(path, NAMES, lambda row: row.number("a"))) == [0.5, 1.0]
    assert list(read_list(path, NAMES, lambda row: row.seconds("c"))) == [None, None]


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"PK\x03\x04\x14\0", "a spreadsheet's own format or an archive"),
        (b"\xd0\xcf\x11\xe0\xa1", "a spreadsheet's own format"),
        (b"\x1f\x8b\x08\0", "compressed by gzip"),
        ("a,b,c".encode("utf-32"), "UTF-32"),
        ("a,b,c".encode("utf-16"), "UTF-16"),
    ],
)
def test_what_is_no_text_is_named(
    tmp_path_factory: pytest.TempPathFactory, start: bytes, message: str
) -> None:
    for read in (has_columns, lambda path, names: list(read_list(path, names, cells))):
        with pytest.raises(UserError, match=f"line 1: {message}, not UTF-8: save the list as csv"):
            read(written(tmp_path_factory, start), NAMES)


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
    for text in (
        *("caf\u00e9 x", " cafe\u0301\u00a0 x\t", "\ufeffcaf\u00e9\u200b\u2009x\u00ad"),
        *("caf\u00e9 x\ufe0f", "ca\u034ff\u00e9 x\u3164", "caf\u00e9\x07 x\x9f"),
    ):
        assert clean(text) == "caf\u00e9 x"
    assert clean("\u00b2") == "\u00b2"


def test_what_nobody_sees_is_dropped_from_plain_text_too() -> None:
    assert clean("do\x07g\t bark\x1f") == "dog bark"


def test_joiners_stay_where_they_have_a_meaning() -> None:
    assert clean("do\u200dg\u200c") == "dog"
    for text in ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\U0001f469\u200d\U0001f692"):
        assert clean(text) == text
