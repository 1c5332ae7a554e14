"""Methods on the page: there when their stage ran, with the numbers of its tables."""

from pathlib import Path

import pytest

from mmlib.params.whole import file as whole
from mmlib.report import inputs, plots
from mmlib.runtime.scratch import publish_csv
from mmlib.runtime.storage import records_csv
from tests.report.conftest import render
from tests.report.pages import ids, made, sound
from tests.report.test_goals import switch_on

ENTRIES = {
    ("noise", ""): (0.7, 0.0, 0.01),
    ("pgd", ""): (0.5, 0.0, 0.95),
    ("restart", ""): (0.51, 0.002, 0.94),
    ("apgd", ""): (0.49, 0.004, 0.96),
    ("temporal_lower", "0.1"): (0.505, 0.001, 0.93),
    ("sparse", "0.25"): (0.6, -0.001, 0.5),
    ("strongest", ""): (0.48, 0.02, 1.0),
}


def write(root: Path, *runs: str) -> None:
    for run in runs:
        met = ("A", "AV") if run == "mid" else ("A",)
        scores = [
            {
                "threat": threat, "method": method, "setting": setting, "multiple": multiple,
                "eps": 0.02 * multiple, "clips": 40, "gradients": 20, "passes": 2,
                "mAP": mean_ap, "mAP_lo": mean_ap - 0.05, "mAP_hi": mean_ap + 0.05,
                "damage": 0.1, "broken": 0.2, "better": 0.25, "better_lo": 0.1, "better_hi": 0.4,
                "added": added, "added_lo": added - 0.01, "added_hi": added + 0.01,
            }
            for threat in met
            for multiple in (1, 2)
            for (method, setting), (mean_ap, added, _) in ENTRIES.items()
        ]  # fmt: skip
        optima = [
            {
                "threat": threat, "method": method, "setting": setting,
                "optimality": "" if threat == "A" else share, "optimality_lo": 0.1,
                "optimality_hi": 1, "loss_optimality": share, "loss_optimality_lo": share,
                "loss_optimality_hi": share,
            }
            for threat in met
            for (method, setting), (_, _, share) in ENTRIES.items()
        ]  # fmt: skip
        publish_csv(records_csv(scores), root / f"metrics/methods/{run}.csv")
        publish_csv(records_csv(optima), root / f"metrics/optimality/{run}.csv")
    switch_on(root, "methods", "runs", {run: {"threats": "all"} for run in runs})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made(tmp_path, "audio", "video", "mid")


def test_off_until_the_stage_ran(root: Path) -> None:
    assert "“make profile NAME=methods” changes that" in sound(render(root))
    switch_on(root, "methods", "runs", {"mid": {"threats": "all"}})
    html = render(root)
    assert "methods" not in ids(html)
    assert "metrics/methods/<run>.csv is not there: “dvc repro methods” writes it." in sound(html)
    tables = plots.tables(inputs.load(whole.load(root / "params.yaml"), root))
    assert tables["methods.csv"] == "run,method,threat,eps,mAP\n"


def test_what_each_method_adds(root: Path) -> None:
    write(root, "mid", "audio")
    html = render(root)
    text = sound(html)
    assert "methods" in ids(html)
    assert (
        "Both attacked at the headline budget: a second PGD takes +0.002 (−0.008 to +0.012) mAP"
        " more than one, and the method that adds most, APGD, +0.004 (−0.006 to +0.014)." in text
    )
    assert "variation lowered, weight 0.1" in text
    assert "chosen frames, 25 %" in text
    assert html.count('aria-label="Optimality of each method, audio attacked"') == 2
    table = plots.methods_csv(inputs.load(whole.load(root / "params.yaml"), root)).splitlines()
    assert len(table) == 1 + (2 + 1) * 2 * len(ENTRIES)
    assert "mid,PGD,AV,0.02,0.5" in table
    assert "audio,strongest of all,A,0.04,0.48" in table
