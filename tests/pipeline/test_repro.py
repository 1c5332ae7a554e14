"""The pipeline as people use it: repro, exp run, metrics diff, kill and go on."""

import json
import subprocess
from pathlib import Path

import pytest

from mmlib.params.whole.file import load
from tests.pipeline.project import Project

pytestmark = pytest.mark.slow

RUNS = ("audio", "video", "mid", "gblend", "mixup", "adversarial")
UPSTREAM = {"download", "decode", "shard"}
TRAIN = {f"train@{run}" for run in ("audio", "video", "mid", "gblend")}
RETRAINED = ("mixup", "adversarial")


def each(stage: str) -> set[str]:
    """The stage of every run, as DVC calls them."""
    return {f"{stage}_retrained@{run}" if run in RETRAINED else f"{stage}@{run}" for run in RUNS}


# The table of docs/params.md: a changed param -> the stages that `dvc status` calls stale, beside
# params and report, which read all of params.yaml. It names those whose own params or files
# changed; what follows from them becomes stale as they run.
STALE = {
    ("attack.eps", "0.01"): each("attack") | {"check", "theorem@mid"},
    ("attack.steps", "3"): each("attack") | {"check", "theorem@mid"},
    ("checks.queries", "12"): {"check"},
    ("theorem.search.rounds", "3"): {"theorem@mid"},
    ("train.mid.epochs", "3"): {"train@mid", "blend@blend", "check", "stress"},
    ("train.audio.epochs", "3"): {"train@audio", "check", "stress"},
    ("retrain.mixup.epochs", "2"): {"retrain@mixup", "check", "stress"},
    ("stress.clips", "20"): {"stress"},
    ("temperature.rule.gamma", "0.5"): {"temperature@temperature"},
    ("geometry.points", "300"): each("geometry"),
    ("score.confidence", "0.9"): each("score") | {"theorem@mid", "stress"},
    ("shard.mel.bands", "32"): {"shard"},
    ("shard.video.jpeg_quality", "95"): {"shard"},
    ("decode.fps", "3.0"): {"decode", "stress"},
    ("data.events.size", "72"): {"download"},
    ("report.title", "x"): set(),
    ("study.seeds", "2"): set(),
    ("goals.search.steps", "3"): set(),
    ("certify.sampling.n", "30"): set(),
    ("methods.search.steps", "3"): set(),
    ("transfer.universal.steps", "3"): set(),
    ("survival.attack.steps", "3"): set(),
    ("music.search.steps", "3"): set(),
    ("attack.domain", "waveform"): each("attack") | {"check", "theorem@mid"},
    ("model.csn.width", "8"): TRAIN | {"blend@blend"},
    ("blend.to_epoch", "1"): {"blend@blend"},
    ("embed.batch_size", "32"): each("embed"),
    ("seed", "1"): {"download", "check", "theorem@mid", "stress"}
    | {"retrain@mixup", "retrain@adversarial"}
    | TRAIN
    | {"blend@blend"}
    | each("attack")
    | each("geometry"),
}


def test_every_stage_ran_and_the_report_is_whole(tiny_project: Project) -> None:
    folder = tiny_project.folder
    page = (folder / "report/index.html").read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    assert "http://" not in page.replace("http://www.w3.org", "")
    for run in RUNS:
        metrics = json.loads((folder / f"metrics/{run}.json").read_text(encoding="utf-8"))
        threats = {"audio": {"A"}, "video": {"V"}}.get(run, {"A", "V", "AV"})
        assert {"clean"} | threats <= set(metrics)
        for name in threats:
            assert {"mAP", "AUC", "dprime"} <= set(metrics[name])
        assert 0 < metrics["clean"]["mAP"] <= 1
    assert not (folder / "scratch").exists() or not list((folder / "scratch").iterdir())


def test_a_second_repro_runs_nothing(tiny_project: Project) -> None:
    output = tiny_project.dvc("repro")
    assert "Running stage" not in output
    assert "up to date" in output


@pytest.mark.parametrize(("param", "value"), STALE, ids=lambda part: str(part))
def test_a_param_makes_its_stages_stale_and_no_others(
    tiny_project: Project, param: str, value: str
) -> None:
    path = tiny_project.folder / "params.yaml"
    before = path.read_text(encoding="utf-8")
    try:
        _set(path, param, value)
        stale = set(json.loads(tiny_project.dvc("status", "--json")))
    finally:
        path.write_text(before, encoding="utf-8")
    assert stale == STALE[param, value] | {"params", "report"}


def _set(path: Path, param: str, value: str) -> None:
    from ruamel.yaml import YAML

    yaml = YAML()
    document = yaml.load(path.read_text(encoding="utf-8"))
    *parents, key = param.split(".")
    section = document
    for parent in parents:
        section = section[parent]
    assert key in section
    section[key] = YAML(typ="safe").load(value)
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(document, stream)
    load(path)


def test_exp_run_with_another_eps_reruns_attacks_and_what_follows_only(
    tiny_project: Project,
) -> None:
    output = tiny_project.dvc("exp", "run", "-S", "attack.eps=0.01")
    ran = {line.split("'")[1] for line in output.splitlines() if "Running stage" in line}
    assert ran == each("attack") | each("score") | {"params", "check", "theorem@mid", "report"}
    diff = json.loads(tiny_project.dvc("metrics", "diff", "--json"))
    assert "metrics/audio.json" in diff
    assert "A.mAP" in json.dumps(_flat(diff["metrics/audio.json"]))
    subprocess.run(["git", "checkout", "-q", "."], cwd=tiny_project.folder, check=True)
    tiny_project.dvc("checkout")


def _flat(tree: dict[str, object], where: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{where}{key}.")
        else:
            flat[f"{where}{key}"] = value
    return flat


@pytest.mark.parametrize(
    ("param", "message"),
    [
        ("attack.eps=8/255", "attack.eps"),
        ("attack.steps=10.5", "attack.steps"),
        ("data.source=evnets", "events"),
    ],
)
def test_a_wrong_param_is_one_clear_line(tiny_project: Project, param: str, message: str) -> None:
    key, value = param.split("=")
    path = tiny_project.folder / "params.yaml"
    before = path.read_text(encoding="utf-8")
    text = before
    name = key.split(".")[-1]
    start = text.index(f"\n  {name}: ", text.index(f"\n{key.split('.')[0]}:"))
    end = text.index("\n", start + 1)
    try:
        path.write_text(f"{text[:start]}\n  {name}: {value}{text[end:]}", encoding="utf-8")
        stage = "download" if key.startswith("data") else "attack"
        arguments = [] if stage == "download" else ["audio"]
        done = subprocess.run(
            ["python", "-m", f"stages.{stage}", *arguments],
            cwd=tiny_project.folder,
            env=tiny_project.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        path.write_text(before, encoding="utf-8")
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert message in done.stderr


def test_killed_in_each_long_stage_it_goes_on_and_ends_with_the_same_metrics(
    tiny_project: Project, killed_project: Project
) -> None:
    """Also another number of workers: neither may change a byte of the metrics."""
    killed, whole = killed_project.metrics(), tiny_project.metrics()
    assert {"mid.json", "adversarial.json", "curves/mid.csv", "eval_clips.csv"} <= killed.keys()
    assert killed == {name: whole[name] for name in killed}
