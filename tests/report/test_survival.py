"""Attacks that survive encoding on the page: there when the stage ran, with its table's numbers."""

from pathlib import Path

import pytest

from mmlib.params.whole import file as whole
from mmlib.report import inputs, plots
from mmlib.runtime.scratch import publish_csv
from mmlib.runtime.storage import records_csv
from tests.report.conftest import render
from tests.report.pages import ids, made, sound
from tests.report.test_goals import switch_on

MET = {"threats": "all"}
ENDS = ("", "_lo", "_hi")
LEVELS = {"as written": "", "h264_aac": "H264 CRF 45, AAC 20 kbit/s"}
DROPS = {"as written": (0.30, 0.25), "h264_aac": (0.05, 0.15)}
"""Of the plain and of the aware attack."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made(tmp_path, "audio", "mid")


def write(root: Path) -> None:
    rows = []
    for threat in ("A", "AV"):
        for place, regard in enumerate(("plain", "aware")):
            for kind, level in LEVELS.items():
                own = DROPS[kind]
                values = {
                    "drop": f"{own[place]}",
                    "survival": f"{own[place] / DROPS['as written'][place]}",
                    "times": f"{own[1] / own[0]}" if regard == "aware" else "",
                }
                rows.append(
                    {"threat": threat, "method": "pgd", "regard": regard, "kind": kind}
                    | {"level": level, "clean": "0.6", "mAP": f"{0.6 - own[place]}"}
                    | {f"{name}{end}": at for name, at in values.items() for end in ENDS}
                )
    publish_csv(records_csv(rows), root / "metrics/survival/mid.csv")
    switch_on(root, "survival", "runs", {"mid": MET})


def test_off_until_the_stage_ran(root: Path) -> None:
    assert "“make profile NAME=survival” changes that" in sound(render(root))
    switch_on(root, "survival", "runs", {"mid": MET})
    html = render(root)
    assert "survival" not in ids(html)
    assert "metrics/survival/<run>.csv is not there: “dvc repro survival”" in sound(html)
    tables = plots.tables(inputs.load(whole.load(root / "params.yaml"), root))
    assert tables["survival.csv"] == "run,threat,attack,after,drop\n"


def test_both_attacks_stand_side_by_side(root: Path) -> None:
    write(root)
    html = render(root)
    text = sound(html)
    assert "survival" in ids(html)
    assert "A, pgd: the attacker's own file" in text
    assert "A+V, pgd: H264 CRF 45, AAC 20 kbit/s" in text
    for number in ("0.300", "0.050", "17 %", "0.150", "60 %", "3.0"):
        assert number in text
    table = plots.tables(inputs.load(whole.load(root / "params.yaml"), root))["survival.csv"]
    lines = table.splitlines()
    assert lines[1] == 'mid,A,"pgd, plain",as written,0.3'
    assert lines[-1] == 'mid,AV,"pgd, aware","h264_aac H264 CRF 45, AAC 20 kbit/s",0.15'
