"""Stage study on real shards: seeds, counted passes, a kill, and the table of budgets."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from ruamel.yaml import YAML

from mmlib.evaluation.attacked.run import loaded
from mmlib.evaluation.study import member
from mmlib.evaluation.sweep.attack import attack_split
from mmlib.models import checkpoint
from mmlib.models.base import Model
from mmlib.params.study import StudySettings
from mmlib.params.whole import file as whole
from mmlib.retraining.retrain import retrain
from mmlib.runtime.errors import UserError
from mmlib.runtime.seeds import derive
from mmlib.runtime.shares import Finished
from mmlib.runtime.storage import read_csv
from stages import study
from tests.conftest import ROOT
from tests.fake_shards import write_shards
from tests.memory_clips import MemoryClips
from tests.models.examples import small

BASE = {"init": "mid", "guide": "none", "epochs": 1, "batch_size": 16, "learning_rate": 0.01}
ROWS: dict[str, dict[str, Any]] = {
    "plain": {"method": "plain"},
    "mixup": {"method": "mixup", "beta": 1.0},
    "long": {"method": "plain", "epochs": 2},
    "pgd": {"method": "adversarial", "eps": 0.02, "steps": 1, "adversarial_share": 1.0},
    "joint": {"method": "joint"},
    "blended": {"method": "joint", "guide": "blend_reference", "online_every": 1},
}
FRESH = "data/none/start.json"
KEY = ("seed", "part", "threat", "eps", "steps")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MMLIB_WORKERS", "1")
    # The sweep remembers shards and models by their paths, which are the same in every project.
    loaded.cache_clear()
    yaml = YAML(typ="safe")
    values = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    values["model"]["csn"]["width"] = 2
    values["model"]["r2plus1d"]["width"] = 4
    values["model"]["fusion"]["hidden"] = 16
    values["train"]["mid"] |= {"audio_start": FRESH, "video_start": FRESH}
    values["attack"] |= {"steps": 2, "batch_size": 8}
    values["attack"]["refine"] |= {"rounds": 2, "steps": 2, "sweep_rounds": 1}
    table = {"rows": ["plain"], "clips": 6, "multiples": [8.0], "steps": [1, 3]}
    rows = {name: BASE | row for name, row in ROWS.items()}
    values["study"] = {"seeds": 2, "table": table, "rows": rows}
    with (tmp_path / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
    splits = {
        "train": MemoryClips(40),
        "val": MemoryClips(16, seed=1),
        "eval": MemoryClips(12, seed=2),
    }
    write_shards(Path("data/shards"), splits)
    described = {"classes": splits["train"].classes, "task": splits["train"].task}
    checkpoint.save(small(), Path("data/models/mid"), described)
    for file in ("guides/none.json", "guides/blend_reference.json", "none/subset.csv"):
        target = tmp_path / "data" / file
        target.parent.mkdir(exist_ok=True)
        target.write_text((ROOT / "data" / file).read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def lines(row: str) -> list[dict[str, str]]:
    return read_csv(Path(f"metrics/study/{row}.csv"))


def without_time(row: str) -> list[dict[str, str]]:
    return [{key: cell for key, cell in line.items() if key != "seconds"} for line in lines(row)]


def same(one: Model, two: Model) -> bool:
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("row", ["mixup", "pgd", "joint", "blended"])
def test_every_method_gives_a_line_a_seed_and_threat(project: Path, row: str) -> None:
    study.main([row])
    every = lines(row)
    val = [line for line in every if line["part"] == "val"]
    assert [(line["seed"], line["threat"]) for line in val] == [("2022", "AV"), ("2023", "AV")]
    found = [line for line in every if line["part"] == "headline"]
    assert [(line["seed"], line["threat"]) for line in found] == [
        (seed, threat) for seed in ("2022", "2023") for threat in ("clean", "A", "V", "AV")
    ]
    assert len({line["mAP"] for line in found if line["threat"] == "clean"}) == 2
    assert not list(Path("scratch").iterdir())


def test_as_many_passes_are_counted_as_were_planned(project: Path) -> None:
    for row in ("long", "pgd"):
        study.main([row])
    # one step on all clips makes an epoch of adversarial training as dear as two plain ones
    costs = [
        [(line["forward_passes"], line["backward_passes"]) for line in lines(row)]
        for row in ("long", "pgd")
    ]
    assert costs[0] == costs[1]
    assert costs[0][0] == ("64", "64")


def test_pseudo_values_are_of_the_same_clips(project: Path) -> None:
    for row in ("plain", "mixup"):
        study.main([row])
    for row in ("plain", "mixup"):
        table = pq.read_table(f"metrics/study/{row}.parquet").to_pylist()
        headline = [line for line in lines(row) if line["part"] == "headline"]
        assert [(r["seed"], r["threat"]) for r in table] == [
            (int(line["seed"]), line["threat"]) for line in headline
        ]
        for pseudo, line in zip(table, headline, strict=True):
            assert len(pseudo["pseudo_mAP"]) == 12
            assert np.mean(pseudo["pseudo_mAP"]) == pytest.approx(float(line["mAP"]), abs=0.25)


def test_the_table_is_the_first_seed_s_on_a_few_clips(project: Path) -> None:
    study.main(["plain"])
    cells = [line for line in lines("plain") if line["part"] == "table"]
    assert [(line["seed"], line["eps"], line["steps"]) for line in cells] == [
        ("2022", "0", "0"),
        ("2022", "0.016", "1"),
        ("2022", "0.016", "3"),
    ]
    clean, one, three = (float(line["mAP"]) for line in cells)
    assert max(one, three) < clean


def test_one_seed_gives_the_model_of_stage_retrain(project: Path) -> None:
    settings = StudySettings.of("mixup")
    row = settings.row
    seed = derive(settings.seed, "study")
    ours = member.fit(row, settings, Path("data"), name="study-one", seed=settings.seed)
    theirs = retrain(row, settings.learning, Path("data"), name="retrain-two", seed=seed)  # type: ignore[arg-type]
    assert same(ours.model, theirs.model)
    other = member.fit(row, settings, Path("data"), name="study-three", seed=settings.seed + 1)
    assert not same(ours.model, other.model)


class Killed(BaseException):
    """Stands for kill -9: nothing in memory survives it."""


@pytest.mark.slow
@pytest.mark.parametrize("place", ["training", "attack"])
def test_a_killed_row_goes_on_and_ends_with_the_same_lines(
    project: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    study.main(["plain"])
    expected = without_time("plain"), Path("metrics/study/plain.parquet").read_bytes()
    fits, attacks = [], []

    def fit(*arguments: Any, **named: Any) -> Any:
        fits.append(named["seed"])
        if place == "training" and len(fits) == 2:
            raise Killed
        return member_fit(*arguments, **named)

    def attack(*arguments: Any) -> None:
        attacks.append(1)
        if place == "attack" and len(attacks) == 2:
            raise Killed
        attack_split(*arguments)

    member_fit = member.fit
    monkeypatch.setattr(member, "fit", fit)
    monkeypatch.setattr(member, "attack_split", attack)
    with pytest.raises(Killed):
        study.main(["plain"])
    study.main(["plain"])
    # the first seed was finished, and is not trained again
    assert fits == [2022, 2023, 2023]
    assert (without_time("plain"), Path("metrics/study/plain.parquet").read_bytes()) == expected


def test_seeds_may_be_trained_by_different_machines(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.main(["plain"])
    expected = without_time("plain"), Path("metrics/study/plain.parquet").read_bytes()
    for place in (1, 0):
        monkeypatch.setenv("MMLIB_SHARE", f"{place}/2")
        with pytest.raises(Finished):
            study.main(["plain"])
    monkeypatch.delenv("MMLIB_SHARE")
    monkeypatch.setattr(member, "fit", lambda *_, **named: pytest.fail("it was trained already"))
    study.main(["plain"])
    assert (without_time("plain"), Path("metrics/study/plain.parquet").read_bytes()) == expected


@pytest.mark.parametrize("arguments", [[], ["nobody"]])
def test_a_row_that_is_not_there_is_named(project: Path, arguments: list[str]) -> None:
    with pytest.raises(UserError, match=r"usage|no row 'nobody', only blended, joint"):
        study.main(arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": {"rows": ["nobody"]}}, "table.rows names 'nobody'"),
        ({"table": {"multiples": [0.0]}}, "must be above 0"),
        ({"rows": {"plain": BASE | {"method": "plain", "init": "nobody"}}}, "no row in train"),
        ({"rows": {"a": BASE | {"method": "joint", "online_every": 1}}}, "set guide too"),
    ],
)
def test_a_faulty_study_is_refused(project: Path, change: Any, message: str) -> None:
    yaml = YAML(typ="safe")
    values = yaml.load(Path("params.yaml").read_text(encoding="utf-8"))
    for key, value in change.items():
        values["study"][key] = values["study"][key] | value
    Path("bad.yaml").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        whole.load("bad.yaml")
