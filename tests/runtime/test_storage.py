"""Tables and JSON in files: what is written is read, and every fault names its file."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.runtime import storage
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import publish_csv, publish_json, publish_text

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
        (storage.read_json, b"[" * 100_000, "cannot be read as JSON"),
        (storage.read_csv, b"", "it is empty, or cut off in its header"),
        (storage.read_csv, b"a,b", "it is empty, or cut off in its header"),
        (storage.read_csv, b'a,b\n1,"2\n', "unexpected end of data"),
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


def test_what_is_sealed_comes_back_without_its_check(tmp_path: Path) -> None:
    facts = {"a": [1, 2.5, None], "é": {"b": "crc32"}}
    publish_json(facts, tmp_path / "x.json")
    assert storage.read_json(tmp_path / "x.json") == facts
    laid_out = json.dumps(json.loads((tmp_path / "x.json").read_text()))
    (tmp_path / "x.json").write_text(laid_out)
    assert storage.read_json(tmp_path / "x.json") == facts
    publish_json({}, tmp_path / "x.json")
    assert storage.read_json(tmp_path / "x.json") == {}
    records = [{"class": 'a, "b"', "kappa": "0.5"}, {"class": "c", "kappa": ""}]
    publish_csv(storage.records_csv(records), tmp_path / "x.csv")
    assert storage.read_csv(tmp_path / "x.csv") == records
    text = (tmp_path / "x.csv").read_text()
    assert text.splitlines()[0] == "class,kappa,#check"
    (tmp_path / "x.csv").write_text(text.replace("\n", "\r\n"), newline="")
    assert storage.read_csv(tmp_path / "x.csv") == records


@pytest.mark.parametrize("change", [("0.5", "0.6"), ("c,", "b,"), ("kappa", "rho"), ("rows 2", "")])
def test_a_table_that_someone_changed_is_named(tmp_path: Path, change: tuple[str, str]) -> None:
    path = tmp_path / "x.csv"
    publish_csv("class,kappa\nb,0.5\nc,\n", path)
    text = path.read_text()
    path.write_text(text.replace(*change))
    with pytest.raises(UserError, match=r"x\.csv: .*its `#check`.*delete it and run"):
        storage.read_csv(path)
    # Without the column it is what somebody wrote by hand.
    path.write_text("class,kappa\nb,0.6\n")
    assert storage.read_csv(path) == [{"class": "b", "kappa": "0.6"}]


def test_a_table_cut_off_between_two_rows_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    publish_csv("class\na\nb\n", path)
    lines = path.read_text().splitlines(keepends=True)
    for keep in range(1, len(lines)):
        path.write_text("".join(lines[:keep]))
        with pytest.raises(UserError, match="damaged"):
            storage.read_csv(path)
