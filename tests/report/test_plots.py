"""What `dvc plots` draws: every run of params.yaml, in every revision, and none by name."""

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from mmlib.params.whole import file as whole
from mmlib.report import inputs, plots
from tests.report import fake_project, fake_stress
from tests.report.fake_project import REPOSITORY

IDS = ("robustness", "stress", "training", "loss", "convexity_against_drop")
TEMPLATES = sorted((REPOSITORY / ".dvc/plots").glob("*.json"))


def written(root: Path) -> Path:
    """Write the plots' tables of the finished project at `root` as the stage does."""
    folder = root / "plots"
    folder.mkdir(exist_ok=True)
    for name, text in plots.tables(inputs.load(whole.load(root / "params.yaml"), root)).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def run_in(root: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def drawn(root: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """The Vega specs by plot, as DVC itself fills them; none of a table without rows."""
    found = json.loads(run_in(root, sys.executable, "-m", "dvc", "plots", *arguments, "--json"))
    assert "errors" not in found
    return {name: plots[0]["content"] for name, plots in found["data"].items() if plots}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished project under git: all runs in HEAD, all but one in the working tree."""
    root = fake_project.write(tmp_path_factory.mktemp("plots"), examples=False)
    fake_stress.write(root, rows_of_params(root))
    shutil.copy(REPOSITORY / "dvc.yaml", root)
    shutil.copytree(REPOSITORY / ".dvc/plots", root / ".dvc/plots")
    shutil.copy(REPOSITORY / ".dvc/config", root / ".dvc")
    written(root)
    run_in(root, "git", "init", "-q")
    run_in(root, "git", "add", "params.yaml", "dvc.yaml", ".dvc", "plots")
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.invalid")
    run_in(root, "git", *identity, "commit", "-q", "-m", "all runs")
    return root


def rows_of_params(root: Path) -> list[str]:
    found = whole.load(root / "params.yaml")
    return [*found.train, *found.retrain]


def test_every_row_of_train_and_retrain_is_drawn(root: Path) -> None:
    specs = drawn(root, "show")
    assert set(specs) == set(IDS)
    for spec in specs.values():
        runs = dict.fromkeys(point["run"] for point in spec["data"]["values"])
        assert list(runs) == rows_of_params(root)
        assert "<DVC_METRIC" not in json.dumps(spec)
    labels = [_labels(specs[name]) for name in IDS]
    assert labels == [
        ("budget, share of full scale", "mAP"),
        ("severity", "mAP"),
        ("epoch", "mAP"),
        ("epoch", "loss"),
        ("kappa (convexity)", "relative drop of AP, all modalities attacked"),
    ]


def test_goals_are_drawn_once_their_stage_ran(root: Path) -> None:
    path = root / "plots/goals.csv"
    before = path.read_text(encoding="utf-8")
    assert before == "run,goal,threat,eps,success\n"
    path.write_text(f"{before}mid,hide,A,0.02,0.25\nmid,inject,A,0.02,0.5\n", encoding="utf-8")
    spec = drawn(root, "show")["goals"]
    path.write_text(before, encoding="utf-8")
    assert [point["goal"] for point in spec["data"]["values"]] == ["hide", "inject"]
    assert spec["spec"]["encoding"]["strokeDash"]["field"] == "goal"


def test_methods_stand_side_by_side_once_their_stage_ran(root: Path) -> None:
    path = root / "plots/methods.csv"
    before = path.read_text(encoding="utf-8")
    assert before == "run,method,threat,eps,mAP\n"
    path.write_text(f"{before}mid,PGD,A,0.02,0.25\nmid,APGD,A,0.02,0.5\n", encoding="utf-8")
    spec = drawn(root, "show")["methods"]
    path.write_text(before, encoding="utf-8")
    assert [point["method"] for point in spec["data"]["values"]] == ["PGD", "APGD"]
    assert spec["spec"]["encoding"]["x"]["field"] == "method"
    assert _labels(spec) == ("method", "mAP")


def test_two_revisions_stand_side_by_side(root: Path) -> None:
    values = root / "plots/robustness.csv"
    before = values.read_text(encoding="utf-8")
    kept = [line for line in before.splitlines() if not line.startswith("video,")]
    values.write_text("\n".join(kept) + "\n", encoding="utf-8")
    points = drawn(root, "diff", "HEAD")["robustness"]["data"]["values"]
    values.write_text(before, encoding="utf-8")
    runs = {rev: {p["run"] for p in points if p["rev"] == rev} for rev in ("workspace", "HEAD")}
    assert runs["HEAD"] == set(rows_of_params(root))
    assert runs["workspace"] == runs["HEAD"] - {"video"}


def test_the_tables_say_what_each_run_s_own_say(root: Path) -> None:
    curves = table(root / "plots/robustness.csv")
    for run, threats in (("audio", ["A"]), ("mid", ["A", "V", "AV"])):
        assert list(dict.fromkeys(r["threat"] for r in curves if r["run"] == run)) == threats
        own = table(root / f"metrics/curves/{run}.csv")
        for threat in threats:
            points = [r for r in curves if (r["run"], r["threat"]) == (run, threat)]
            assert _numbers(points, "eps", "mAP") == _numbers(own, "eps", threat)
    epochs = table(root / "plots/training.csv")
    own = table(root / "metrics/training/mid.csv")
    val = [r for r in epochs if (r["run"], r["split"]) == ("mid", "val")]
    train = [r for r in epochs if (r["run"], r["split"]) == ("mid", "train")]
    assert _numbers(val, "loss", "mAP") == _numbers(own, "val_loss", "val_mAP")
    assert _numbers(train, "epoch", "loss") == _numbers(own, "epoch", "train_loss")
    assert {row["mAP"] for row in train} == {""}


def test_the_drop_is_of_the_attack_on_all_that_a_run_has(root: Path) -> None:
    drops = table(root / "plots/drop.csv")
    for run, threat in (("audio", "A"), ("video", "V"), ("mixup", "AV")):
        own = table(root / f"metrics/classwise/{run}.csv")
        points = [row for row in drops if row["run"] == run]
        assert {row["threat"] for row in points} == {threat}
        assert [row["class"] for row in points] == [row["class"] for row in own]
        expected = _numbers(own, "kappa", f"{threat}_relative_drop")
        assert _numbers(points, "kappa", "relative_drop") == expected


def test_a_removed_run_does_not_linger_and_an_untrained_one_has_no_epochs(tmp_path: Path) -> None:
    fake_project.write(tmp_path, runs=("audio", "mid"), clips=40, examples=False)
    for kind in ("curves", "training", "classwise"):
        own = tmp_path / "metrics" / kind
        shutil.copy(own / "audio.csv", own / "removed.csv")
    shutil.copy(tmp_path / "metrics/audio.json", tmp_path / "metrics/removed.json")
    (tmp_path / "metrics/training/audio.csv").unlink()
    folder = written(tmp_path)
    assert {row["run"] for row in table(folder / "robustness.csv")} == {"audio", "mid"}
    assert {row["run"] for row in table(folder / "drop.csv")} == {"audio", "mid"}
    assert {row["run"] for row in table(folder / "training.csv")} == {"mid"}


def test_dvc_yaml_names_no_run() -> None:
    document = YAML(typ="safe").load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))
    runs = set(rows_of_params(REPOSITORY))
    naming = [text for text in _strings(document) if runs & _words(text)]
    assert not naming


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_every_template_tells_the_runs_and_the_revisions_apart(path: Path) -> None:
    spec = json.loads(path.read_text(encoding="utf-8"))
    assert spec["facet"]["column"]["field"] == "rev"
    assert spec["spec"]["encoding"]["color"]["field"] == "run"


def test_the_scatter_has_a_trend_line_for_each_run_and_revision() -> None:
    text = (REPOSITORY / ".dvc/plots/trend.json").read_text(encoding="utf-8")
    layers = json.loads(text)["spec"]["layer"]
    regressions = [t for layer in layers for t in layer.get("transform", []) if "regression" in t]
    assert regressions == [{"regression": "y_value", "on": "x_value", "groupby": ["rev", "run"]}]


def _labels(spec: dict[str, Any]) -> tuple[str, str]:
    encoding = spec["spec"]["encoding"]
    return encoding["x"]["title"], encoding["y"]["title"]


def _numbers(rows: list[dict[str, str]], *columns: str) -> list[list[float]]:
    """The cells to the nine digits that the plots' tables keep."""
    return [[float(f"{float(row[column]):.9g}") for column in columns] for row in rows]


def _strings(node: object) -> Iterator[str]:
    """Every key and value but for the stages' descriptions, which are prose."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            if key != "desc":
                yield from _strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value)
    elif isinstance(node, str):
        yield node


def _words(text: str) -> set[str]:
    """The names in a path or command, without what stands for a value of params.yaml."""
    return set(re.findall(r"[\w-]+", re.sub(r"\$\{.*?\}", "", text)))
