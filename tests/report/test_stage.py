import csv
from pathlib import Path

import pytest

from mmlib.runtime.errors import UserError
from stages import report
from tests import fake_study
from tests.report import fake_project


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runs = ("audio", "mid", "mixup")
    monkeypatch.chdir(fake_project.write(tmp_path, runs=runs, clips=40, examples=False))
    return tmp_path


def test_the_stage_writes_and_prints(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report.main([])
    names = {path.name for path in (root / "report").iterdir()}
    assert names == {
        *("index.html", "results.txt", "claims.csv", "comparisons.csv", "predictions.csv"),
        *("study.csv", "cards"),
    }
    assert {path.name for path in (root / "report/cards").iterdir()} == {
        *("audio.md", "mid.md", "mixup.md")
    }
    for name in ("robustness", "training", "drop"):
        assert {row["run"] for row in rows(root / f"plots/{name}.csv")} == {"audio", "mid", "mixup"}
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == str(root / "report/index.html")
    assert printed.startswith((root / "report/results.txt").read_text())
    assert "Not answered by these runs." in printed
    assert max(map(len, printed.splitlines()[:-1])) <= 100


def test_the_tables_for_other_programs(root: Path) -> None:
    report.main([])
    pairs = rows(root / "report/comparisons.csv")
    assert [(row["name"], row["threat"]) for row in pairs] == [
        ("audio - mid", "clean"),
        ("audio - mid", "A"),
        ("audio - mixup", "clean"),
        ("audio - mixup", "A"),
        *(("mid - mixup", threat) for threat in ("clean", "A", "V", "AV")),
    ]
    for row in pairs:
        assert float(row["lo"]) < float(row["hi"])
    keys = [row["key"] for row in rows(root / "report/claims.csv")]
    assert len(keys) == len(set(keys))
    assert {"fusion_audio", "matched_A", "mixup_protects", "noise_audio_A"} <= set(keys)
    assert {row["run"] for row in rows(root / "report/predictions.csv")} == {
        *("audio", "mid", "mixup")
    }


def test_the_study_for_other_programs(root: Path) -> None:
    report.main([])
    assert rows(root / "report/study.csv") == []
    fake_study.write(root, rows=("plain", "mixup", "pgd"))
    report.main([])
    found = {row["key"]: row for row in rows(root / "report/study.csv")}
    claims = {row["key"]: row for row in rows(root / "report/claims.csv")}
    assert {key for key in claims if key.startswith("study_")} == set(found)
    for key, row in found.items():
        assert claims[key]["effect"] == row["effect"]
        lows = [float(row[f"{name}_lo"]) for name in ("seeds", "clips", "both")]
        assert float(claims[key]["lo"]) == min(lows)


def test_an_old_report_is_replaced_whole(root: Path) -> None:
    (root / "report").mkdir()
    (root / "report/stale.txt").write_text("old")
    report.main([])
    assert not (root / "report/stale.txt").exists()


def test_arguments_are_refused(root: Path) -> None:
    with pytest.raises(UserError, match="usage"):
        report.main(["mid"])
