"""Goals and transfer on the page: there when their stage ran, with the numbers of its tables."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from mmlib.params.whole import file as whole
from mmlib.report import inputs, plots
from mmlib.runtime.scratch import publish_csv
from mmlib.runtime.storage import records_csv
from tests.report.conftest import render
from tests.report.pages import ids, made, sound

EACH = {"threats": "all", "hide": "each", "inject": "each", "swap": []}
THREATS = {"mid": ("A", "V", "AV"), "audio": ("A",)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made(tmp_path, "audio", "video", "mid")


def switch_on(root: Path, section: str, rows: str, values: dict[str, Any]) -> None:
    yaml, path = YAML(), root / "params.yaml"
    document = yaml.load(path.read_text(encoding="utf-8"))
    document[section][rows] = values
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(document, stream)


def write_goals(root: Path, tags: int, goals: tuple[str, ...] = ("hide", "inject")) -> None:
    """Tag k of `tags` is hidden on k of tags - 1 clips at the headline; twice that at 2 ε."""
    for run, met in THREATS.items():
        rows = [
            {
                "goal": goal,
                "hidden": "" if goal == "inject" else f"Tag {k}",
                "injected": "" if goal == "hide" else f"Tag {k + 1}",
                "threat": threat,
                "multiple": multiple,
                "eps": 0.02 * multiple,
                "labelled": 30,
                "at_stake": 20,
                "clips": tags - 1,
                "succeeded": min(int(k * multiple), tags - 1),
                "success": min(k * multiple / (tags - 1), 1),
                "success_lo": 0.1,
                "success_hi": 0.9,
                "noise": 0.0,
            }
            for goal in goals
            for k in range(tags)
            for threat in met
            for multiple in (1, 2)
        ]
        publish_csv(records_csv(rows), root / f"metrics/goals/{run}.csv")
    switch_on(root, "goals", "runs", dict.fromkeys(THREATS, EACH))


def test_off_until_the_stages_ran(root: Path) -> None:
    text = sound(render(root))
    assert "“make profile NAME=goals” changes that" in text
    switch_on(root, "goals", "runs", {"mid": EACH})
    html = render(root)
    assert not {"goals", "transfer"} & set(ids(html))
    assert "metrics/goals/<run>.csv is not there: “dvc repro goals” writes it." in sound(html)
    tables = plots.tables(inputs.load(whole.load(root / "params.yaml"), root))
    assert tables["goals.csv"] == "run,goal,threat,eps,success\n"
    assert tables["transfer.csv"] == "row,threat,eps,source,target,mAP\n"


def test_which_tags(root: Path) -> None:
    write_goals(root, tags=5)
    html = render(root)
    text = sound(html)
    assert "goals" in ids(html)
    # Rates of 0, 1/4, 1/2, 3/4 and 1: three of five on at least half of the clips, one on none.
    assert (
        "mid, both attacked at the headline budget: 3 of 5 tags can be hidden on at least half of"
        " their clips (Tag 4, Tag 3 and Tag 2), 1 on none (Tag 0)." in text
    )
    assert "audio, audio attacked at the headline budget: 3 of 5 tags can be injected" in text
    table = plots.goals_csv(inputs.load(whole.load(root / "params.yaml"), root)).splitlines()
    assert "mid,hide,AV,0.02,0.5" in table
    # Twice the rate, at most 1: 0, 1/2, 1, 1, 1.
    assert "mid,hide,AV,0.04,0.7" in table
    assert "audio,inject,A,0,0" in table
    assert len(table) == 1 + 2 * 3 * (3 + 1)


def test_many_tags_are_folded_and_pairs_are_named(root: Path) -> None:
    write_goals(root, tags=21, goals=("hide", "swap"))
    html = render(root)
    text = sound(html)
    assert "mid: all 21" in text
    assert "Tag 20 → Tag 21" in text
    assert "11 of 21 pairs can be swapped on at least half of their clips (Tag 20 → Tag 21," in text
    assert "7 more" in text


def test_a_run_that_is_gone_is_not_shown(root: Path) -> None:
    write_goals(root, tags=5)
    (root / "metrics/audio.json").unlink()
    assert "audio, audio attacked at the headline budget" not in sound(render(root))


def write_matrix(root: Path) -> None:
    rows = [
        {
            "source": source,
            "target": target,
            "threat": threat,
            "multiple": 1,
            "eps": 0.02,
            "mAP": 0.123 if source == target else 0.456,
            "mAP_lo": 0.1,
            "mAP_hi": 0.5,
            "clean": 0.789,
            "own": 0.123,
            "share": 1 if source == target else 0.5,
        }
        for threat in ("A", "AV")
        for source in ("audio", "mid", "earlier_run")
        for target in ("audio", "mid")
        if threat == "A" or source == target == "mid"
    ]
    publish_csv(records_csv(rows), root / "metrics/transfer/all_runs.csv")
    row = {"perturbation": "universal", "runs": "all", "threats": "all", "multiples": [1.0]}
    switch_on(root, "transfer", "rows", {"all_runs": row})


def test_the_heat_map(root: Path) -> None:
    write_matrix(root)
    html = render(root)
    text = sound(html)
    assert "transfer" in ids(html)
    assert "all_runs: one perturbation for all clips, fitted on the split val" in text
    drawn = html[html.index('aria-label="mAP of each run under the perturbations') :]
    drawn = drawn[: drawn.index("</svg>")]
    assert (drawn.count("0.123"), drawn.count("0.456"), drawn.count("0.789")) == (2, 2, 2)
    assert "Others' perturbations do 50 % of the damage of a run's own, on average over 2" in text
    assert "earlier_run" not in html
    table = plots.transfer_csv(inputs.load(whole.load(root / "params.yaml"), root))
    assert table.splitlines()[1:3] == [
        "all_runs,A,0.02,audio,audio,0.123", "all_runs,A,0.02,audio,mid,0.456",
    ]  # fmt: skip
