"""`python -m tools.ledger`: every clip is in one of its counts."""

from pathlib import Path

import pytest

from mmlib.runtime.storage import read_csv
from mmlib.shards.rows.ledger import (
    write_ledger,
    write_manifest_csv,
)
from tests.ledger_rows import row, table
from tools import ledger


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.parquet"
    rows = [row(f"t{i}", "train", ("a",)) for i in range(3)]
    rows += [row("t9", "train", ("a",), "dropped", "leak_identical")]
    rows += [row(f"e{i}", "eval", ("a",), "failed", "timeout") for i in range(2)]
    write_ledger(path, [table(rows[:2]), table(rows[2:])])
    return path


def test_counts_and_lists(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.main(["--ledger", str(written)])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert lines[0] == ["train", "ok", "3"]
    assert lines[1][:5] == ["train", "dropped", "shard", "leak_identical", "1"]
    assert lines[2][:6] == ["eval", "failed", "decode", "timeout", "2", "e0:"]
    ledger.main(["--ledger", str(written), "--error", "timeout"])
    assert capsys.readouterr().out == "eval,e0,it was timeout\neval,e1,it was timeout\n"
    ledger.main(["--ledger", str(written), "--error", "timeout", "--split", "train"])
    assert capsys.readouterr().out == ""


def test_damaged_clips_are_counted_by_kind_with_three_examples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ledger.parquet"
    rows = [
        row(f"t{i}", "train", ("a",), damage=["cut_short"], message=f"damaged: at byte {i}")
        for i in range(5)
    ]
    both = ["empty_audio", "cut_short"]
    rows.append(row("e0", "eval", ("a",), damage=both, message="damaged: no sound; at byte 9"))
    rows.append(row("e1", "eval", ("a",), "dropped", "leak_identical", damage=["empty_audio"]))
    write_ledger(path, [table(rows)])
    ledger.main(["--ledger", str(path)])
    assert capsys.readouterr().out.splitlines()[4:] == [
        "6 damaged, used as far as they decode",
        "  6 cut_short",
        *(f"    t{i}: at byte {i}" for i in range(3)),
        "  1 empty_audio",
        "    e0: no sound; at byte 9",
    ]
    ledger.main(["--ledger", str(path), "--damage", "empty_audio"])
    out = capsys.readouterr().out.splitlines()
    assert out == ["eval,e0,damaged: no sound; at byte 9", "eval,e1,it was leak_identical"]
    ledger.main(["--ledger", str(path), "--split", "eval"])
    assert "1 damaged, used as far as they decode" in capsys.readouterr().out


def test_the_manifest_of_the_evaluation(written: Path, tmp_path: Path) -> None:
    write_manifest_csv(written, tmp_path / "eval.csv")
    assert read_csv(tmp_path / "eval.csv") == [
        {"clip_id": f"e{number}", "status": "failed", "error": "timeout"} for number in range(2)
    ]
