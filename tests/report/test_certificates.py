"""Certificates on the page: there when their stage ran, both sides drawn, numbers of its tables."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmlib.params.whole import file as whole
from mmlib.report import inputs, plots
from mmlib.report.sections.certificates import both_sides, read_certificates
from mmlib.runtime.scratch import publish_csv, publish_json
from mmlib.runtime.storage import read_json, records_csv
from tests.report.conftest import render
from tests.report.pages import ids, made, sound
from tests.report.test_goals import switch_on

ROW = {"run": "mid", "threats": "all", "sigma": {"audio": 0.1, "video": 0.2}}
EPS = (0.0, 0.01, 0.02, 0.03)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made(tmp_path, "audio", "video", "mid")


def write(root: Path, name: str, run: str, *met: str) -> dict[str, Any]:
    """Certified mAP falls by 0.2 a step; attacked to 0.6 at the third of four budgets."""
    rows = [
        {
            "threat": threat,
            "eps": eps,
            "reach": 50 * eps,
            "mAP_lo": 0.6 - 0.2 * step,
            "mAP_attacked": {0: 0.7, 2: 0.6}.get(step, ""),
            "shown": 0.5,
            "absent": 0.9,
            "pairs_certified": 1 - step / 3,
            "pairs_standing": 1.0 if step < 3 else 0.25,
        }
        for threat in met
        for step, eps in enumerate(EPS)
    ]
    publish_csv(records_csv(rows), root / f"metrics/certify/{name}.csv")
    of_threat = {
        "mAP": 0.712, "certified_mAP": 0.234, "attacked_mAP": 0.612, "shown": 0.37, "absent": 0.91,
        "abstained": 0.045, "largest_eps": 0.00456, "head": None,
    }  # fmt: skip
    checks = {"check": "pass", "checked": "0 of 48 decisions turned"}
    told = {"passes": 1100, "clips": 64, **checks, **dict.fromkeys(met, of_threat)}
    publish_json(told, root / f"metrics/certify/{name}.json")
    return {**ROW, "run": run}


def test_off_until_the_stage_ran(root: Path) -> None:
    assert "“make profile NAME=certify” changes that" in sound(render(root))
    switch_on(root, "certify", "rows", {"both": ROW})
    html = render(root)
    assert "certificates" not in ids(html)
    assert "metrics/certify/<row>.csv is not there: “dvc repro certify” writes it." in sound(html)
    assert plots.certify_csv(loaded(root)) == "run,bound,threat,eps,mAP\n"


def loaded(root: Path) -> inputs.Inputs:
    return inputs.load(whole.load(root / "params.yaml"), root)


def test_both_sides_are_on_the_page(root: Path) -> None:
    rows = {"fused": write(root, "fused", "mid", "A", "V", "AV")}
    rows["heard"] = write(root, "heard", "audio", "A")
    rows["elsewhere"] = write(root, "elsewhere", "video", "V")
    switch_on(root, "certify", "rows", rows)
    (root / "metrics/video.json").unlink()
    html = render(root)
    text = sound(html)
    assert "certificates" in ids(html)
    assert "100 forward passes a clip instead of one" in text
    for shown in ("fused, A+V", "0.712", "0.234", "0.612", "37 %", "0.00456", "4.5 %", "0.1, 0.2"):
        assert shown in text, shown
    assert "fused: the check “certified” ends in pass: 0 of 48 decisions turned." in text
    assert "elsewhere" not in text
    table = plots.certify_csv(loaded(root)).splitlines()
    assert "fused,certified,AV,0.01,0.4" in table
    assert "heard,attacked,A,0.02,0.6" in table
    assert len(table) == 1 + 4 * (4 + 2)


def test_nothing_certified_is_drawn_too(root: Path) -> None:
    row = write(root, "fused", "mid", "A")
    file = root / "metrics/certify/fused.json"
    told = read_json(file)
    told["A"] |= {"certified_mAP": 0.0, "largest_eps": 0.0}
    publish_json(told, file)
    switch_on(root, "certify", "rows", {"fused": row})
    assert "certificates" in ids(render(root))


def test_what_an_attack_left_bounds_all_larger_budgets(root: Path) -> None:
    switch_on(root, "certify", "rows", {"fused": write(root, "fused", "mid", "A")})
    (row,) = read_certificates(loaded(root))
    line = both_sides(row, "A", "mAP_lo", "mAP_attacked")
    assert line is not None
    assert line.y.tolist() == pytest.approx([0.6, 0.4, 0.2, 0.0])
    assert line.hi is not None
    assert line.hi.tolist() == [0.7, 0.7, 0.6, 0.6]
    assert both_sides(row, "V", "mAP_lo", "mAP_attacked") is None
    assert np.all(line.hi >= line.y)
