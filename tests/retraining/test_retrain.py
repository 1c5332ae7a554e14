"""Stage retrain on real shards: every method, its costs, its ablations, and a kill."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from mmlib.models import checkpoint
from mmlib.models.base import Model
from mmlib.retraining.guide import (
    Guide,
    to_json,
)
from mmlib.runtime.errors import UserError
from mmlib.runtime.storage import read_json
from mmlib.training.history import History
from mmlib.training.loop import _Run
from stages import retrain
from tests.conftest import ROOT
from tests.fake_shards import write_shards
from tests.memory_clips import MemoryClips
from tests.models.examples import small

CLIPS = 40  # two steps of 16 an epoch
STEPS = 2
TRAINED = 16 * STEPS
BASE = {"init": "mid", "guide": "none", "epochs": 2, "batch_size": 16, "learning_rate": 0.01}
ROWS: dict[str, dict[str, Any]] = {
    "plain": {"method": "plain"},
    "full": {"method": "mixup", "guide": "temperature"},
    "partner": {"method": "mixup", "guide": "temperature", "partners": "uniform"},
    "anchor": {"method": "mixup", "guide": "temperature", "anchors": "uniform"},
    "own": {"method": "mixup", "beta": 1.0},
    "shared": {"method": "mixup", "beta": 10.0, "shared_lambda": True},
    "pgd": {"method": "adversarial", "eps": 0.02, "steps": 3, "adversarial_share": 0.5},
    "heard": {
        "method": "adversarial",
        "eps": 0.02,
        "steps": 1,
        "adversarial_share": 1.0,
        "threat": "A",
        "norm": "l2",
    },
    "fast": {
        "method": "adversarial",
        "attack": "fgsm_rs",
        "eps": 0.02,
        "steps": 1,
        "adversarial_share": 0.5,
        "guard": {"every": 2, "clips": 4, "steps": 2, "ratio": 2.0, "rise": 1.5},
    },
    "noisy": {"method": "smoothed", "sigma": {"audio": 0.1, "video": 0.2}},
    "unheard": {"method": "smoothed", "init": "video", "sigma": {"audio": 0.1, "video": 0.0}},
    "blended": {"method": "plain", "init": "gblend", "guide": "blend_reference"},
    "headless": {"method": "plain", "guide": "blend_reference"},
    "deaf": {"method": "adversarial", "init": "video", "eps": 0.02, "steps": 1}
    | {"adversarial_share": 0.5},
    "wrong": {"method": "mixup", "guide": "blend_reference"},
}


def write_model(name: str, model: Model, clips: MemoryClips) -> None:
    described = {"classes": clips.classes, "task": clips.task}
    checkpoint.save(model, Path("data/models") / name, described)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    yaml = YAML(typ="safe")
    values = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    values["retrain"] = {name: BASE | row for name, row in ROWS.items()}
    with (tmp_path / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
    train, val = MemoryClips(CLIPS), MemoryClips(16, seed=1)
    write_shards(Path("data/shards"), {"train": train, "val": val}, without_audio=(3, 7))
    write_model("mid", small(), train)
    write_model("video", small(modality="video"), train)
    write_model("gblend", small(heads=True), train)
    guides = Path("data/guides")
    guides.mkdir()
    (guides / "none.json").write_text("{}\n", encoding="utf-8")
    heads = {"heads": {"A": 0.2, "V": 0.4, "AV": 0.4}}
    (guides / "blend_reference.json").write_text(json.dumps(heads), encoding="utf-8")
    guide = Guide(
        classes=tuple(train.classes),
        class_weight=np.full(5, 0.2),
        beta={"audio": np.linspace(1, 2, 5), "video": np.ones(5)},
        temperature=1.0,
        same_class_share=np.full(5, 0.5),
        distances={
            clip_id: (1.0,) * int(row.sum())
            for clip_id, row in zip(train.clip_ids, train.labels, strict=True)
        },
    )
    (guides / "temperature.json").write_text(to_json(guide, {}), encoding="utf-8")
    return tmp_path


def results(run: str) -> tuple[Model, dict[str, Any], list[str], dict[str, float]]:
    model, description = checkpoint.load(Path("data/models") / run)
    history = Path(f"metrics/training/{run}.csv").read_text(encoding="utf-8").splitlines()
    costs = read_json(Path(f"metrics/costs/{run}.json"))
    return model, description, history, costs


def same(one: Model, two: Model) -> bool:
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("run", "passes"),
    [
        ("plain", (1.0, 1.0)),
        ("full", (1.0, 1.0)),
        ("partner", (1.0, 1.0)),
        ("anchor", (1.0, 1.0)),
        ("own", (1.0, 1.0)),
        ("shared", (1.0, 1.0)),
        ("pgd", (2.5, 2.5)),
        ("heard", (2.0, 1.5)),
        ("noisy", (1.0, 1.0)),
        ("blended", (1.0, 1.0)),
    ],
)
def test_every_method_trains_and_counts(project: Path, run: str, passes: tuple[float, ...]) -> None:
    retrain.main([run])
    model, description, history, costs = results(run)
    start, _ = checkpoint.load(Path("data/models") / str((BASE | ROWS[run])["init"]))
    assert not same(model, start)
    assert description["method"] == ROWS[run]["method"]
    assert len(history) == 1 + 2
    assert {"epoch", "train_loss", "val_loss", "val_mAP"} <= set(history[0].split(","))
    assert costs["optimiser_steps"] == 2 * STEPS
    assert costs["clips_seen"] == 2 * TRAINED
    # the clips that lack audio do not go through its encoder
    assert costs["forward_passes"] / (2 * TRAINED) == pytest.approx(passes[0], rel=0.1)
    assert costs["backward_passes"] / (2 * TRAINED) == pytest.approx(passes[1], rel=0.1)
    assert not list(Path("scratch").iterdir())


def test_single_step_training_logs_its_guard(project: Path) -> None:
    retrain.main(["fast"])
    _, _, history, _ = results("fast")
    columns = history[0].split(",")
    row = dict(zip(columns, history[-1].split(","), strict=True))
    for name in ("probe_clean", "probe_single", "probe_multiple", "probe_lowest"):
        assert 0 < float(row[name]) < 2
    assert row["backed_off"] == ""


class Killed(BaseException):
    """Stands for kill -9: nothing in memory survives it."""


@pytest.mark.parametrize("run", ["full", "fast"])
def test_a_killed_run_goes_on_and_ends_in_the_same_bits(
    project: Path, monkeypatch: pytest.MonkeyPatch, run: str
) -> None:
    retrain.main([run])
    whole, _, expected, costs = results(run)

    def die(self: _Run, epoch: int) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(_Run, "report", die)
        with pytest.raises(Killed):
            retrain.main([run])
    torch.manual_seed(99)
    retrain.main([run])
    model, _, history, again = results(run)
    assert same(model, whole)
    assert history == expected
    del costs["seconds"], again["seconds"]
    assert again == costs


def test_the_ablations_differ_from_each_other(project: Path) -> None:
    found = []
    for run in ("full", "partner", "anchor", "own", "shared"):
        retrain.main([run])
        found.append(results(run)[0])
    assert not any(same(one, two) for i, one in enumerate(found) for two in found[:i])


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("headless", "the model has one head"),
        ("deaf", "attacks audio, but the model reads video only"),
        ("wrong", "not a guide for mixup"),
        ("unheard", "sigma is 0 for video, which is all that the model reads"),
        ("nobody", "retrain has no row 'nobody'"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(project: Path, run: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        retrain.main([run])
    assert not Path("metrics").exists()


def test_a_model_of_other_classes_is_refused(project: Path) -> None:
    clips = MemoryClips(4)
    clips.classes = [*clips.classes[:-1], "another"]
    write_model("mid", small(), clips)
    with pytest.raises(UserError, match="classes differ from the shards'"):
        retrain.main(["plain"])


def test_a_history_keeps_columns_that_fill_during_the_epoch() -> None:
    row = {"epoch": 0.0, "backed_off": float("nan")}
    assert History(rows=[row]).csv() == "epoch,backed_off\n0,\n"
