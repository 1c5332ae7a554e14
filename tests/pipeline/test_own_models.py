"""Models of one's own as runs: admitted, embedded, attacked, scored, checked and reported."""

import json
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

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


def test_an_option_runs_its_model_alone_again_and_a_file_what_it_makes(project: Project) -> None:
    output = project.dvc("exp", "run", "-S", "models.mine.options.width=3")
    ran = {line.split("'")[1] for line in output.splitlines() if "Running stage" in line}
    assert {"admit@mine", "attack_model@mine", "score_model@mine", "report"} <= ran
    assert not [stage for stage in ran if stage.endswith("@heard")]
    file = project.folder / ADAPTER
    file.write_text(file.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    stale = set(json.loads(project.dvc("status", "--json")))
    assert {"admit@mine", "admit@heard"} <= stale
