"""Parquet files: what is written is read, by others too, and every fault names its file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmlib.runtime import checksums, parquet
from mmlib.runtime.errors import UserError

TABLE = pa.table(
    {
        "split": ["a", "b", "a", "c"],
        "x": [1, 2, 3, None],
        "labels": [["u"], [], ["u", "v"], []],
        "pair": [{"left": 1, "right": "one"}] * 4,
    }
)


@pytest.mark.parametrize("options", [{}, {"row_group_size": 3, "compression": "zstd"}])
def test_a_table_comes_back_to_us_and_to_others(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "x.parquet"
    parquet.write_table(TABLE, path, **options)
    assert pq.read_table(path).equals(TABLE)
    assert parquet.read_parquet(path).equals(TABLE)
    reader = parquet.Reader(path)
    assert reader.read(["labels", "x"]).equals(TABLE.select(["labels", "x"]))
    assert pa.concat_tables(reader.parts()).equals(TABLE)
    assert reader.read(groups=[]).num_rows == 0
    assert reader.where("split", "a", ["split", "x"])["x"].to_pylist() == [1, 3]
    assert reader.where("split", "z", ["x", "split"]).column_names == ["x", "split"]


@pytest.mark.parametrize("rows", [0, 4])
def test_every_byte_of_the_columns_has_a_checksum(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "x.parquet"
    with parquet.writer(path, TABLE.schema) as writer:
        writer.write_table(TABLE.slice(0, rows))
    whole = path.read_bytes()
    size = int.from_bytes(whole[-8:-4], "little")
    # All but Parquet's own mark at the start: a flip there changes nothing that is read.
    for place in range(4, len(whole)):
        path.unlink()
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError, match=r"x\.parquet: cannot be read as Parquet"):
            parquet.read_parquet(path)
    assert size < len(whole)


def test_a_file_without_checksums_is_refused(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"x\.parquet: .*no checksums.*run `dvc repro`"):
        parquet.Reader(tmp_path / "x.parquet")


def test_columns_that_are_not_asked_for_may_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"x": [b"good"], "y": [b"bad?"]}), path, compression="none")
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole.replace(b"bad?", b"bad!", 1))
    reader = parquet.Reader(path)
    assert reader.read(["x"])["x"].to_pylist() == [b"good"]
    with pytest.raises(UserError, match="damaged: column y"):
        reader.read(["x", "y"])


@pytest.mark.parametrize("content", [None, b"", b"PAR1", b"PAR1PAR1", b"\xff" * 99 + b"PAR1"])
def test_faults_name_the_file(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.parquet: .*; mend it$"):
        parquet.Reader(path, "a table", "mend it")


def test_other_columns_than_expected_are_named(tmp_path: Path) -> None:
    parquet.write_table(TABLE, tmp_path / "x.parquet")
    reader = parquet.Reader(tmp_path / "x.parquet")
    with pytest.raises(UserError, match="no column absent"):
        reader.read(["absent"])
    with pytest.raises(UserError, match="its schema says nothing"):
        reader.facts()
    reader.require(TABLE.schema)
    with pytest.raises(UserError, match=r"x\.parquet: .*not of this version"):
        reader.require(TABLE.schema.set(1, pa.field("x", pa.float64())))


def test_arrays_come_back(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    array = np.random.default_rng(0).standard_normal((7, 2, 3)).astype(np.float32)
    columns = {
        "fixed": parquet.binary_column(array),
        "loose": pa.array([row.tobytes() for row in array], pa.binary()),
    }
    table = pa.table(columns).replace_schema_metadata(parquet.metadata({"classes": ["é"]}))
    parquet.write_table(table, path, row_group_size=3)
    found = parquet.read_parquet(path)
    for name in columns:
        for part in (found[name], found[name].slice(2, 4), found[name].slice(0, 0)):
            numbers = parquet.numbers_of(part, np.float32)
            assert numbers.shape[0] == len(part)
        flat = parquet.numbers_of(found[name], np.float32)
        assert flat.tobytes() == array.reshape(7, 6).tobytes()
        cut = parquet.numbers_of(found[name].slice(2, 4), np.float32)
        np.testing.assert_array_equal(cut, flat[2:6])
    assert parquet.Reader(path).facts() == {"classes": ["é"]}


def test_a_file_that_is_written_anew_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"x": [1, 2]}), path)
    reader = parquet.Reader(path)
    parquet.write_table(pa.table({"x": [3]}), path)
    # Footers are not kept for ever.
    checksums.footer.cache_clear()
    with pytest.raises(UserError, match=r"x\.parquet: .*written anew"):
        reader.read()
