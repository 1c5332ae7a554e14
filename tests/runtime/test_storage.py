"""Tables, JSON and arrays in files: what is written is read, and every fault names its file."""

import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.runtime import storage
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import publish_text

# A carriage return alone is nothing that Python's csv module quotes when lines end with \n.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"))


@given(st.lists(st.fixed_dictionaries({"class": TEXT, "b": TEXT}), min_size=1))
def test_records_come_back(records: list[dict[str, str]]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "records.csv"
        publish_text(storage.records_csv(records), path)
        assert storage.read_csv(path) == records


def test_records_may_lack_cells_and_lines_end_alike(tmp_path: Path) -> None:
    text = storage.records_csv([{"epoch": "0"}, {"epoch": "1", "mAP": 0.5}])
    assert text == "epoch,mAP\n0,\n1,0.5\n"
    storage.write_csv(tmp_path / "x.csv", ("epoch", "mAP"), [(0, ""), (1, 0.5)])
    assert (tmp_path / "x.csv").read_bytes() == text.encode()
    assert storage.csv_text(("a", "b"), ()) == "a,b\n"


def test_cells() -> None:
    assert storage.decimals(1 / 3) == "0.333333"
    assert storage.significant(1e-7 / 3) == "3.33333e-08"
    assert storage.significant(1 / 3, 9) == "0.333333333"
    assert storage.decimals(np.nan) == storage.significant(np.nan) == ""
    assert storage.rounded(2 / 3) == 0.666667
    assert storage.rounded(np.inf) is storage.rounded(np.nan) is None


def test_columns_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "classwise.csv"
    path.write_text("\ufeffclass,kappa,rho,flags\n7,0.5,,\n\n8,0.25,1e-3,far\n", encoding="utf-8")
    columns = storage.read_table(path)
    assert columns["class"].tolist() == ["7", "8"]
    assert columns["kappa"].tolist() == [0.5, 0.25]
    assert np.isnan(columns["rho"][0])
    assert columns["flags"].tolist() == ["", "far"]
    path.write_text("class,kappa\n")
    assert storage.read_table(path) == {}


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (storage.read_json, None, r"no such file; run `dvc repro`, which makes it"),
        (storage.read_json, b"{", r"cannot be read as JSON .*delete it and run `dvc repro`"),
        (storage.read_json, b"[1]", "it holds list, not an object"),
        (storage.read_json, b'{"a": "\xff"}', "cannot be read as JSON"),
        (storage.read_csv, None, "no such file"),
        (storage.read_csv, b"a,b\n1,2\n3\n", "line 3: 1 fields where the header has 2"),
        (storage.read_csv, b"a\n\xff\n", "cannot be read as a csv file"),
        (storage.read_parquet, None, "no such file"),
        (storage.read_parquet, b"PAR1", "cannot be read as Parquet"),
        (storage.open_parquet, b"", "cannot be read as Parquet"),
        (storage.read_schema, b"PAR1PAR1", "cannot be read as Parquet"),
    ],
)
def test_faults_name_the_file(tmp_path: Path, read, content, message: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "some.file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"some\.file: .*{message}|some\.file: {message}"):
        read(path)


def test_a_reader_may_say_what_to_do_itself(tmp_path: Path) -> None:
    for content in (None, "{"):
        if content:
            (tmp_path / "x.json").write_text(content)
        with pytest.raises(UserError, match=r"; name another$"):
            storage.read_json(tmp_path / "x.json", "name another")


def test_arrays_come_back_from_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    array = np.random.default_rng(0).standard_normal((7, 2, 3)).astype(np.float32)
    columns = {
        "fixed": storage.binary_column(array),
        "loose": pa.array([row.tobytes() for row in array], pa.binary()),
    }
    table = pa.table(columns).replace_schema_metadata(storage.metadata({"classes": ["é"]}))
    pq.write_table(table, path, row_group_size=3)
    found = storage.read_parquet(path)
    for name in columns:
        for part in (found[name], found[name].slice(2, 4), found[name].slice(0, 0)):
            numbers = storage.numbers_of(part, np.float32)
            assert numbers.shape[0] == len(part)
        flat = storage.numbers_of(found[name], np.float32)
        assert flat.tobytes() == array.reshape(7, 6).tobytes()
        cut = storage.numbers_of(found[name].slice(2, 4), np.float32)
        np.testing.assert_array_equal(cut, flat[2:6])
    assert storage.read_metadata(storage.read_schema(path), path) == {"classes": ["é"]}
    with pytest.raises(UserError, match="no column absent"):
        storage.read_parquet(path, ["absent"])
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(UserError, match="its schema says nothing"):
        storage.read_metadata(storage.read_schema(path), path)


def test_rows_lost_in_a_damaged_header_are_missed(tmp_path: Path) -> None:
    """pyarrow reads some of these files as if they had fewer rows, without a word."""
    path = tmp_path / "x.parquet"
    rows = storage.binary_column(np.arange(60, dtype=np.uint8).reshape(20, 3))
    pq.write_table(pa.table({"x": rows}), path, compression="none", use_dictionary=False)
    sound = path.read_bytes()
    short = 0
    for place in range(8 * 4, 8 * sound.index(rows[0].as_py())):
        damaged = bytearray(sound)
        damaged[place // 8] ^= 1 << place % 8
        path.unlink()
        path.write_bytes(damaged)
        with contextlib.suppress(pa.ArrowException, OSError):
            short += len(pq.read_table(path)) < 20
        for read in (storage.read_parquet, _groups):
            with contextlib.suppress(UserError):
                assert len(read(path)) == 20
    assert short


def _groups(path: Path) -> pa.Table:
    with storage.reading(path, "Parquet"), pq.ParquetFile(path) as file:
        return storage.read_groups(file, range(file.num_row_groups))


def test_the_rows_of_a_value(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"split": ["a", "b", "a"], "x": [1, 2, 3]}), path, row_group_size=2)
    assert storage.read_parquet(path, ["x"], ("split", "a"))["x"].to_pylist() == [1, 3]
    assert len(storage.read_parquet(path, ["x"], ("split", "c"))) == 0
