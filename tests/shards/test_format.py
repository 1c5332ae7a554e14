"""Shard files: what is written comes back, in the layout that makes reading fast, or is refused."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmlib.runtime.errors import UserError
from mmlib.shards.read.format import (
    PAYLOADS,
    WAVEFORM,
    Layout,
    Payload,
    ShardReader,
    ShardRow,
    write_shard,
)
from tests.properties import examples

LAYOUT = Layout(
    split="eval",
    classes=("a", "b", "c"),
    task="multi_label",
    log_mel=Payload(shape=(10, 8), dtype="float16"),
    frames=Payload(shape=(2, 6, 6, 3), dtype="uint8"),
    sample_rate_hz=8000,
    clip_samples=50,
)
JPEG_LAYOUT = LAYOUT.model_copy(update={"jpeg_quality": 95})


def rows(count: int) -> list[ShardRow]:
    """Clips of which every third lacks sound and every fifth pictures."""
    rng = np.random.default_rng(count)
    return [
        ShardRow(
            f"clip {number} é",
            f"source {number // 2}",
            rng.integers(0, 2, 3, dtype=np.uint8),
            rng.random((10, 8)).astype(np.float16) if number % 3 else None,
            rng.integers(0, 256, (2, 6, 6, 3), dtype=np.uint8) if number % 5 else None,
            rng.integers(-32768, 32768, 50).astype(np.int16) if number % 3 else None,
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 16, 37])
def test_every_row_comes_back(tmp_path: Path, count: int) -> None:
    written = rows(count)
    write_shard(tmp_path / "x.parquet", LAYOUT, written)
    reader = ShardReader(tmp_path / "x.parquet")
    assert reader.layout == LAYOUT
    assert reader.sizes == [16] * (count // 16) + [count % 16] * (count % 16 > 0)
    index = reader.index()
    assert index.clip_ids == [row.clip_id for row in written]
    assert index.source_ids == [row.source_id for row in written]
    assert index.present["audio"].tolist() == [row.log_mel is not None for row in written]
    assert index.present["video"].tolist() == [row.frames is not None for row in written]
    assert index.labels.shape == (count, 3)
    for number, row in enumerate(written):
        group, place = divmod(number, 16)
        assert (index.labels[number] == row.labels).all()
        for column in ("log_mel", "frames", "waveform"):
            expected = getattr(row, column)
            found = reader.read(group, column)[place]
            assert np.array_equal(found, np.zeros_like(found) if expected is None else expected)
            assert expected is None or found.dtype == expected.dtype


def test_the_layout_is_the_fast_one(tmp_path: Path) -> None:
    write_shard(tmp_path / "x.parquet", LAYOUT, rows(20))
    file = pq.ParquetFile(tmp_path / "x.parquet")
    for name, width in {"log_mel": 160, "frames": 216, "labels": 3}.items():
        field = file.schema_arrow.field(name)
        assert str(field.type) == f"fixed_size_binary[{width}]"
        assert not field.nullable
    for column in range(file.metadata.num_columns):
        chunk = file.metadata.row_group(0).column(column)
        assert chunk.compression == "UNCOMPRESSED"
        assert not chunk.has_dictionary_page
    assert file.metadata.row_group(0).num_rows == 16


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_shard(tmp_path / name, LAYOUT, rows(20))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_arrays_that_do_not_fit_the_layout_are_refused(tmp_path: Path) -> None:
    wrong = rows(2)[1]._replace(log_mel=np.zeros((9, 8), np.float16))
    with pytest.raises(ValueError, match="does not fit"):
        write_shard(tmp_path / "x", LAYOUT, [wrong])
    with pytest.raises(ValueError, match="does not fit"):
        write_shard(tmp_path / "x", LAYOUT, [wrong._replace(log_mel=np.zeros((10, 8), np.float32))])


@given(st.integers(0, 2**32 - 1))
@example(5560)  # in a page header, which no checksum covers: 0 rows were read instead of 16
@example(46060)  # in the length of waveforms, which the metadata say
@examples(40)
def test_a_flipped_bit_is_never_read_as_data(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """Wherever it falls: the same values come back (a spare byte), or the file is named."""
    folder = tmp_path_factory.mktemp("flip")
    write_shard(folder / "x.parquet", LAYOUT, rows(20))
    sound = bytearray((folder / "x.parquet").read_bytes())
    position, bit = divmod(np.random.default_rng(seed).integers(8 * len(sound)).item(), 8)
    sound[position] ^= 1 << bit
    (folder / "y.parquet").write_bytes(sound)
    intact = ShardReader(folder / "x.parquet")
    pieces = [(group, column) for group in range(2) for column in (*PAYLOADS.values(), WAVEFORM)]
    try:
        damaged = ShardReader(folder / "y.parquet")
        index, true = damaged.index(), intact.index()
        payloads = [damaged.read(*piece) for piece in pieces]
    except UserError as error:
        message = str(error)
    else:
        message = ""
        assert (index.clip_ids, index.source_ids) == (true.clip_ids, true.source_ids)
        assert np.array_equal(index.labels, true.labels)
        assert all(np.array_equal(index.present[name], true.present[name]) for name in PAYLOADS)
        for piece, payload in zip(pieces, payloads, strict=True):
            assert np.array_equal(payload, intact.read(*piece))
    assert not message or ("y.parquet" in message and "dvc repro" in message)


@pytest.mark.parametrize("keep", [0, 3, 200, -1])
def test_a_cut_off_file_is_named(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "x.parquet"
    write_shard(path, LAYOUT, rows(20))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"x\.parquet: cannot be read.*dvc repro"):
        ShardReader(path)


def test_other_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x\.parquet: no such file"):
        ShardReader(tmp_path / "x.parquet")
    pq.write_table(pq.read_table(_any_table(tmp_path)), tmp_path / "other.parquet")
    with pytest.raises(UserError, match=r"other\.parquet: cannot be read as a shard"):
        ShardReader(tmp_path / "other.parquet")


def _any_table(folder: Path) -> Path:
    import pyarrow as pa

    pq.write_table(pa.table({"x": [1, 2]}), folder / "any.parquet")
    return folder / "any.parquet"
