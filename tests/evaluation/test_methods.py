"""Stage methods: each method on the same clips, what it adds to PGD, and its optimality."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmlib.attacks.methods.temporal import variation
from mmlib.evaluation.attacked.features import along_time, comparable, side_by_side
from mmlib.evaluation.attacked.frozen import cached_encoders
from mmlib.evaluation.methods import methods as stage
from mmlib.evaluation.methods.members import Entry, entries
from mmlib.evaluation.methods.methods import Attacked, Outcome, compare
from mmlib.evaluation.methods.table import STRONGEST, tables
from mmlib.evaluation.methods.work import attack_part
from mmlib.models import checkpoint
from mmlib.models.build import build
from mmlib.params.methods import MethodsRun, MethodsSearch
from mmlib.params.score import Score
from mmlib.runtime.errors import UserError
from tests.conftest import ROOT
from tests.evaluation.test_attack import NAMES, project
from tests.sweep_toys import CLASSES, MANIFEST, VIDEO, inputs, model, settings, waveforms

METHODS = ("apgd", "mim", "temporal_raise", "temporal_lower", "misalign", "sparse", "sparse_random")
SCORE = Score(confidence=0.95, common_with=str(ROOT / "data/none/subset.csv"))
ALL = MethodsRun(threats="all")


def search(**changes: object) -> MethodsSearch:
    values = {
        "clips": None, "multiples": [1.0, 4.0], "steps": 4, "methods": list(METHODS),
        "weights": [1.0], "shares": [0.5],
    }  # fmt: skip
    return MethodsSearch.model_validate({**values, **changes})


SETTINGS = settings(eps=0.05, batch_size=4)


def compared(root: Path, run: str = "mid", wanted: MethodsRun = ALL, **changes: Any) -> Outcome:
    attack = changes.pop("attack", SETTINGS)
    folder = root / "shards"
    return compare(root / run, folder, wanted, search(**changes), attack, SCORE, seed=3)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tags = np.random.default_rng(3).random((7, len(NAMES))) < 0.4
    project(tmp_path, tags=tags.astype(np.uint8))
    return tmp_path


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_tables_of_a_run(root: Path) -> None:
    outcome = compared(root)
    found = tables(outcome, "bce", 0.05, 0.95)
    assert {each.threat for each in outcome.attacked} == {"A", "V", "AV"}
    keys = [entry.key for entry in entries(search())]
    assert all(list(each.logits) == keys for each in outcome.attacked)
    table = rows(found.methods)
    assert len(table) == 3 * 2 * (len(keys) + 1)
    for row in table:
        if row["method"] == "pgd":
            assert (row["better"], row["added"]) == ("0.000000", "0.000000")
        if row["method"] not in ("noise", STRONGEST):
            assert row["gradients"] == "4", row["method"]
        assert float(row["damage"]) >= -1e-5 or row["method"] == "noise"
    for threat in ("A", "V", "AV"):
        mine = [row for row in table if row["threat"] == threat and row["multiple"] == "4"]
        damage = {row["method"]: float(row["damage"]) for row in mine}
        assert max(damage.values()) == damage[STRONGEST]
        assert damage["noise"] < damage["pgd"]
    for row in rows(found.optimality):
        share = float(row["loss_optimality"])
        assert share == 1 if row["method"] == STRONGEST else 0 <= share <= 1
    assert found.figures["AV"].keys() == {*keys, STRONGEST} - {"noise"}
    json.dumps(found.figures, allow_nan=False)


def test_a_stopped_stage_resumes_and_gives_the_same(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = compared(root, wanted=MethodsRun(threats=("V",)))
    made: list[str] = []

    def once(part: Any) -> Any:
        if made:
            raise KeyboardInterrupt
        made.append(part.name)
        return attack_part(part)

    def other(part: Any) -> Any:
        made.append(part.name)
        return attack_part(part)

    monkeypatch.setattr(stage, "attack_part", once)
    with pytest.raises(KeyboardInterrupt):
        compared(root, wanted=MethodsRun(threats=("V",)))
    monkeypatch.setattr(stage, "attack_part", other)
    resumed = compared(root, wanted=MethodsRun(threats=("V",)))
    assert len(made) == 2
    for key, logits in whole.attacked[0].logits.items():
        assert np.array_equal(resumed.attacked[0].logits[key], logits)


def test_one_modality_has_nothing_to_misalign(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audio = model(None, video=False)
    checkpoint.save(audio, root / "audio", {"classes": list(NAMES), "task": "multi_label"})
    outcome = compared(root, "audio", multiples=[1.0], methods=["misalign", "temporal_raise"])
    assert list(outcome.attacked[0].logits) == ["noise", "pgd", "restart", "temporal_raise 1"]
    assert "methods audio: misalign 1 left out under A: the run has no" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"methods\.runs\.audio\.threats names V, but"):
        compared(root, "audio", MethodsRun(threats=("V",)))


class Silent(torch.nn.Module):
    """An encoder that says the same whatever it hears, with nets' layers of its own kind."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder, self.dim = encoder, encoder.dim

    def forward(self, x: Tensor) -> Tensor:
        deaf: Tensor = 0 * self.encoder(torch.zeros_like(x))
        return deaf


def test_a_model_that_ignores_sound_is_untouched_by_every_sound_method(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmlib.evaluation.attacked import domain

    load = domain.load_model

    def deaf(*arguments: Any) -> Any:
        net = load(*arguments)
        net.encoders["audio"] = Silent(net.encoders["audio"])
        return net

    monkeypatch.setattr(domain, "load_model", deaf)
    outcome = compared(root, wanted=MethodsRun(threats=("A",)), multiples=[1.0])
    (attacked,) = outcome.attacked
    for logits in attacked.logits.values():
        assert np.array_equal(logits[0], attacked.clean)
    optima = rows(tables(outcome, "bce", 0.05, 0.95).optimality)
    assert all(row["optimality"] == "" for row in optima)


def test_waveforms_begin_above_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project(tmp_path, waveforms(7))
    attack = settings(domain="waveform", eps=0.01, batch_size=7)
    outcome = compared(
        tmp_path, wanted=MethodsRun(threats=("A",)), attack=attack, multiples=[1.0], steps=2,
        methods=["sparse"],
    )  # fmt: skip
    left = outcome.attacked[0].logits
    silent = [1, 4]
    assert not np.allclose(left["pgd"][0][silent], outcome.attacked[0].clean[silent], atol=1e-4)


def test_the_strongest_of_known_logits() -> None:
    """Two clips, two budgets: what a smaller one did stays, and each method breaks another clip."""
    labels = np.array([[True, False], [True, False]])
    right, wrong = [2.0, -2.0], [-2.0, 2.0]
    clean = np.array([right, right], np.float32)
    logits = {
        "noise": [[right, right], [right, right]],
        "pgd": [[right, wrong], [right, right]],
        "restart": [[wrong, right], [wrong, right]],
    }
    attacked = Attacked(
        "A", clean, {k: np.array(v, np.float32) for k, v in logits.items()},
        dict.fromkeys(logits, (4, 2)),
    )  # fmt: skip
    outcome = Outcome(
        "single_label", labels, np.array(["a", "b"]), (0.5, 1.0),
        (Entry("noise"), Entry("pgd"), Entry("restart")), (attacked,),
    )  # fmt: skip
    found = tables(outcome, "cross_entropy", 0.1, 0.95)
    broken = {(row["method"], row["multiple"]): row["broken"] for row in rows(found.methods)}
    assert broken["pgd", "1"] == "0.500000"
    assert broken[STRONGEST, "0.5"] == broken[STRONGEST, "1"] == "1.000000"
    share = {row["method"]: float(row["optimality"]) for row in rows(found.optimality)}
    assert share == {"noise": 0.0, "pgd": 0.5, "restart": 0.5, STRONGEST: 1.0}
    better = {row["method"]: row["better"] for row in rows(found.methods)}
    assert better["restart"] == "0.500000"
    accuracy = {row["method"]: row["accuracy"] for row in rows(found.methods)}
    assert accuracy[STRONGEST] == "0.000000"


@pytest.mark.parametrize("fusion", ["mid", "sum", "gated", "late", "early"])
def test_every_fusion_shows_features(fusion: str) -> None:
    """Steps in time, vectors of one size, and the logits of the model itself; absent sound too."""
    net = model(fusion)
    clips = {**inputs(3), "audio_present": torch.tensor([True, False, True])}
    batch, encode = cached_encoders(net, clips, None, ("audio", "video"))
    timed, paired = along_time(net, encode, ("audio", "video")), side_by_side(net, encode)
    assert timed is not None
    assert paired is not None
    sequences, logits = timed(batch)
    with torch.no_grad():
        expected = net(clips)
    assert torch.allclose(logits, expected, atol=1e-5)
    assert torch.allclose(paired(batch)[1], expected, atol=1e-5)
    assert comparable(paired, batch)
    assert set(paired(batch)[0]) == {"audio", "video"}
    for sequence in sequences.values():
        assert sequence.shape[0] == 3
        assert sequence.shape[1] > 1
        assert variation(sequence).shape == (3,)
    assert not any(module._forward_hooks for module in net.modules())


class Theirs:
    """A user's net as the pipeline holds it: no layers are known, and it may split or not."""

    foreign, modalities, encoders = True, ("audio", "video"), torch.nn.ModuleDict()

    def __init__(self, splits: bool) -> None:
        self.splits = splits

    def classify(self, vectors: Any) -> Tensor:
        return torch.cat([each.flatten(1) for each in vectors.values()], 1)


def test_a_users_net_has_vectors_where_it_splits_into_some_of_one_size() -> None:
    clips = inputs(2)
    nets: list[Any] = [Theirs(splits=False), Theirs(splits=True)]
    assert all(along_time(net, lambda x: x, ("audio",)) is None for net in nets)
    assert side_by_side(nets[0], lambda x: x) is None
    whole = side_by_side(nets[1], lambda x: x)
    alike = side_by_side(
        nets[1], lambda x: {name: each[:, :1].flatten(1)[:, :4] for name, each in x.items()}
    )
    assert whole is not None
    assert alike is not None
    assert not comparable(whole, clips)
    assert comparable(alike, clips)


def test_cnn14_has_steps_in_time() -> None:
    cnn14 = {"name": "cnn14", "width": 1, "dropout": 0.0}
    manifest = {
        **MANIFEST,
        "audio": {"frames": 64, "bands": 32, "mean": [0.5] * 32, "std": [0.3] * 32},
    }
    net = build(
        {"audio": cnn14, "video": None, "fusion": None, "heads": False}, CLASSES, manifest, seed=1
    ).eval()
    timed = along_time(net, net.encode_all, ("audio",))
    assert timed is not None
    (sequence,) = timed({"audio": torch.rand(2, 64, 32)})[0].values()
    assert sequence.shape[:2] == (2, 2)


def test_a_net_with_a_single_step_shows_no_variation() -> None:
    short = {**MANIFEST, "video": {**MANIFEST["video"], "frames": 1}}
    net = build(
        {"audio": None, "video": VIDEO, "fusion": None, "heads": False}, CLASSES, short, seed=1
    ).eval()
    timed = along_time(net, net.encode_all, ("video",))
    assert timed is not None
    (sequence,) = timed({"video": inputs(2)["video"][:, :, :1]})[0].values()
    assert variation(sequence).tolist() == [0.0, 0.0]
