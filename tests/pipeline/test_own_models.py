"""Models of one's own as runs: admitted, embedded, attacked, scored, checked and reported."""

import json
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from mmlib.runtime.storage import read_csv
from tests.pipeline.project import Project

pytestmark = pytest.mark.slow

ADAPTER = "adapters/own_net.py"
ROW = {
    "factory": f"{ADAPTER}:both",
    "code": ADAPTER,
    "weights": "data/none/start.json",
    "classes": "data/none/classes.csv",
    "options": {"width": 4},
}

GOALS = {"threats": "all", "hide": "each", "inject": ["Crow"], "swap": []}
MATRIX = {"perturbation": "per_clip", "runs": "all", "threats": "all", "multiples": [1.0]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Few clips, nothing trained, two models whose numbers mean nothing."""
    made = Project(tmp_path_factory.mktemp("own") / "project", "tiny own_model")
    adapter = made.folder / ADAPTER
    adapter.parent.mkdir()
    shutil.copy(Path(__file__).with_name("own_net.py"), adapter)
    path, yaml = made.folder / "params.yaml", YAML()
    document = yaml.load(path.read_text(encoding="utf-8"))
    document["data"]["events"] |= {"train_clips": 48, "val_clips": 24, "eval_clips": 24}
    document["attack"]["domain"] = "waveform"
    document["models"] = {
        "mine": ROW,
        "heard": {**ROW, "factory": f"{ADAPTER}:heard", "options": {}},
    }
    document["goals"]["runs"] = {"mine": GOALS}
    document["goals"]["decision"]["rule"] = "top"
    document["goals"]["search"] |= {"clips": 2, "multiples": [1.0, 5.0], "steps": 2}
    document["transfer"]["rows"] = {"others": MATRIX}
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(document, stream)
    made.commit("models")
    made.dvc("repro", MMLIB_WORKERS="2")
    made.commit("results")
    return made


def test_every_model_is_a_run_of_the_report(project: Project) -> None:
    page = (project.folder / "report/index.html").read_text(encoding="utf-8")
    checks = json.loads((project.folder / "metrics/checks.json").read_text(encoding="utf-8"))
    for run, threats in (("mine", {"A", "V", "AV"}), ("heard", {"A"})):
        metrics = json.loads((project.folder / f"metrics/{run}.json").read_text(encoding="utf-8"))
        assert {"clean"} | threats <= set(metrics)
        assert run in page
        assert run in json.dumps(checks)
    classwise = (project.folder / "metrics/classwise/mine.csv").read_text(encoding="utf-8")
    assert "kappa" not in classwise
    assert "kappa" in (project.folder / "metrics/classwise/heard.csv").read_text(encoding="utf-8")


def test_goals_and_transfer_of_own_models(project: Project) -> None:
    """Under sound the two reach one another; each alone scores as stage attack stored it."""
    page = (project.folder / "report/index.html").read_text(encoding="utf-8")
    assert "mine, both attacked at the headline budget" in page
    metrics = project.folder / "metrics"
    rows = read_csv(metrics / "goals/mine.csv")
    assert {row["threat"] for row in rows} == {"A", "V", "AV"}
    assert {row["injected"] for row in rows if row["goal"] == "inject"} == {"Crow"}
    assert sum(int(row["clips"]) for row in rows) > 0
    cells = read_csv(metrics / "transfer/others.csv")
    assert {(r["source"], r["target"]) for r in cells if r["threat"] == "A"} == {
        (source, target) for source in ("mine", "heard") for target in ("mine", "heard")
    }
    for row in cells:
        if row["source"] == row["target"]:
            stored = json.loads((metrics / f"{row['target']}.json").read_text(encoding="utf-8"))
            assert float(row["mAP"]) == pytest.approx(stored[row["threat"]]["mAP"], abs=1e-6)
    shown = project.dvc("metrics", "show", "--json")
    assert "metrics/goals/mine.json" in shown
    assert "metrics/transfer/others.json" in shown


def test_an_option_runs_its_model_alone_again_and_a_file_what_it_makes(project: Project) -> None:
    output = project.dvc("exp", "run", "-S", "models.mine.options.width=3")
    ran = {line.split("'")[1] for line in output.splitlines() if "Running stage" in line}
    assert {"admit@mine", "attack_model@mine", "score_model@mine", "report"} <= ran
    assert not [stage for stage in ran if stage.endswith("@heard")]
    file = project.folder / ADAPTER
    file.write_text(file.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    stale = set(json.loads(project.dvc("status", "--json")))
    assert {"admit@mine", "admit@heard"} <= stale
