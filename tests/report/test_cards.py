"""A card of each run: what a program reads of it, and what a person does."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from mmlib.params.training import ModelRow
from mmlib.params.whole import file as whole
from mmlib.report import inputs
from mmlib.report.cards import cards
from tests.report import fake_project


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cards")
    return fake_project.write(folder, runs=("audio", "mid", "mixup"), clips=40, examples=False)


def read(text: str) -> tuple[Any, str]:
    _, block, body = text.split("---\n", 2)
    return YAML(typ="safe").load(block), body


def test_a_card_says_of_its_run_what_the_metrics_say(root: Path) -> None:
    found = cards(inputs.load(whole.load(root / "params.yaml"), root))
    assert set(found) == {"audio.md", "mid.md", "mixup.md"}
    for run, threats in (("audio", ("A",)), ("mid", ("A", "V", "AV"))):
        metrics = json.loads((root / f"metrics/{run}.json").read_text(encoding="utf-8"))
        facts, body = read(found[f"{run}.md"])
        (index,) = facts["model-index"]
        assert index["name"] == run
        for part, condition in zip(index["results"], ("clean", *threats), strict=True):
            values = {each["type"]: each["value"] for each in part["metrics"]}
            assert values["map"] == metrics[condition]["mAP"]
            assert part["dataset"]["split"] == "eval"
        assert len(facts["model-index"][0]["results"]) == 1 + len(threats)
        assert f"{metrics['clean']['mAP']:.3f}" in body
        for heading in ("## Scores", "## Data", "## Threats", "## Checks", "## How to reproduce"):
            assert heading in body
    assert "from the run mid" in found["mixup.md"]


def test_a_model_of_one_s_own_says_who_makes_it(root: Path) -> None:
    settings = whole.load(root / "params.yaml")
    row = {
        "factory": "mine.py:make",
        "code": "mine.py",
        "weights": "w.pth",
        "classes": "data/none/classes.csv",
        "options": {"width": 3},
    }
    models = {"audio": ModelRow.model_validate(row)}
    own = settings.model_copy(update={"train": {}, "retrain": {}, "models": models})
    (text,) = cards(inputs.load(own, root)).values()
    assert "made by `mine.py:make`" in text
    block = text.partition("```yaml\n")[2].partition("```")[0]
    said = YAML(typ="safe").load(block)
    assert {key: said["models"]["audio"][key] for key in row} == row
    assert said["shard"]["seconds"] == own.shard.seconds
    assert said["decode"]["fps"] == own.decode.fps
