"""A user's net under attack: from its file, as fast and as hard as a net of the pipeline."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmlib.evaluation.attacked import frozen
from mmlib.evaluation.attacked.run import AttackedRun
from mmlib.evaluation.sweep.attack import attack_split
from mmlib.metrics.stored import AttackScores
from mmlib.models import checkpoint
from mmlib.models.admitting import admitted
from mmlib.models.own import OwnModel
from mmlib.params.training import BY_NAME, FRESH, ModelRow
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import publish_json
from mmlib.runtime.storage import read_json
from mmlib.shards.read.manifest import MANIFEST_NAME
from mmlib.threats import THREATS
from tests.evaluation.test_attack import project
from tests.models import own_nets as nets
from tests.models.test_admission import clips, made
from tests.sweep_toys import settings, waveforms

ADAPTER = """
from mmlib.models import checkpoint
from mmlib.models.contract import Frames, LogMel
from torch import nn


class Again(nn.Module):
    optional = ("audio",)

    def __init__(self, path, splits):
        super().__init__()
        self.inner = checkpoint.load(path)[0]
        self.inputs = {"audio": LogMel(), "video": Frames(2, 1.0, 16)}
        self.classes = list("edcba")
        if splits:
            self.encode, self.classify = self.inner.encode, self.apart

    def apart(self, vectors):
        return self.inner.classify(vectors).flip(1)

    def forward(self, batch):
        return self.inner(batch).flip(1)


def again(weights, classes, splits=False):
    return Again(weights.with_suffix(""), splits)


def nothing(weights, classes):
    return None


class Silent(Again):
    def train(self, mode=True):
        super().train(mode)


def silent(weights, classes):
    return Silent(weights.with_suffix(""), False)


def raising(weights, classes):
    raise ValueError("no such layer\\nand more")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pipeline's run `mid` on seven clips, the third silent, and a file that wraps its net."""
    monkeypatch.chdir(tmp_path)
    project(tmp_path, waveforms(7))
    path = tmp_path / "shards" / MANIFEST_NAME
    manifest = read_json(path)
    publish_json({**manifest, "seconds": 2.0}, path)
    (tmp_path / "adapter.py").write_text(ADAPTER, encoding="utf-8")
    BY_NAME.parent.mkdir(parents=True)
    BY_NAME.write_text("class,output\n", encoding="utf-8")
    FRESH.write_text("{}", encoding="utf-8")
    return tmp_path


def row(**changes: Any) -> ModelRow:
    values = {
        "factory": "adapter.py:again",
        "code": "adapter.py",
        "weights": "mid.safetensors",
        "classes": str(BY_NAME),
        "options": {},
    }
    return ModelRow.model_validate({**values, **changes})


def admit(folder: Path, name: str, domain: str = "log_mel", **changes: Any) -> Path:
    model, described = admitted(name, row(**changes), folder / "shards", domain)
    checkpoint.save(model, folder / name, {"run": name, **described})
    return folder / name


def test_a_file_that_the_adapter_imports_must_be_watched_too(folder: Path) -> None:
    (folder / "nets").mkdir()
    (folder / "nets/wrapping.py").write_text(ADAPTER, encoding="utf-8")
    (folder / "nets/mine.py").write_text("from wrapping import again\n", encoding="utf-8")
    of: dict[str, Any] = {"factory": "nets/mine.py:again"}
    with pytest.raises(
        UserError, match=r"models\.own: it imports nets/wrapping\.py, .* nets as code"
    ):
        admit(folder, "own", code="nets/mine.py", **of)
    description = read_json(admit(folder, "own", code="nets", **of).with_suffix(".json"))
    assert "nets/wrapping.py" in description["architecture"]["sha256"]


@pytest.mark.parametrize("domain", ["log_mel", "waveform"])
@pytest.mark.parametrize("splits", [False, True])
def test_the_same_net_breaks_as_the_pipeline_s_own(folder: Path, splits: bool, domain: str) -> None:
    """But for the clip without sound, for which the pipeline's net has a vector of its own."""
    own = admit(folder, "own", domain, options={"splits": splits})
    how = settings(domain=domain, restarts=1)
    for run in (folder / "mid", own):
        attack_split(folder / "shards", run, folder / "out", how, seed=3)
    ours, theirs = (AttackScores(folder / f"out/{name}.parquet") for name in ("mid", "own"))
    assert ours.conditions == theirs.conditions
    rows = ours.clip_ids != "clip-2"
    for condition in ours.conditions:
        expected = ours.scores(condition)[rows]
        np.testing.assert_allclose(theirs.scores(condition)[rows], expected, atol=2e-4)


def test_a_branch_that_is_not_attacked_is_computed_once_where_the_net_splits() -> None:
    for kind, expected in ((nets.Apart, 0), (nets.Kept, 3)):
        model, seen = made(kind()), list[int]()
        model.net.layers["audio"].register_forward_hook(lambda *_, seen=seen: seen.append(1))
        threat: Any = {"video": None}
        batch, forward = frozen.cached(model, clips(), None, threat)
        before = len(seen)
        with torch.no_grad():
            for _ in range(3):
                found = forward(batch)
            assert len(seen) - before == expected
            torch.testing.assert_close(found, model(clips()))


@pytest.mark.parametrize("kind", [nets.Kept, nets.Apart, nets.NoEmbedding, nets.Hooked])
def test_a_frozen_net_gives_the_net_s_logits_and_gradients(kind: Any) -> None:
    """The hooked one reads its features from the net that was hooked: it is left whole."""
    model = made(kind())
    cheap = frozen.frozen(model, clips(1))
    assert (cheap is model) == (kind is nets.Hooked)
    found = []
    for net in (cheap, model):
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in clips().items()}
        logits = net(leaves)
        gradients = torch.autograd.grad(logits[:, 0].sum(), list(leaves.values()))
        found.append((logits.detach(), *gradients))
    for a, b in zip(*found, strict=True):
        assert float((a - b).abs().max()) <= 1e-4 * float(b.abs().max())


def test_a_run_is_loaded_again_from_its_description(folder: Path) -> None:
    assert admit(folder, "silent", factory="adapter.py:silent").with_suffix(".json").is_file()
    path = admit(folder, "own")
    run = AttackedRun.load(path, folder / "shards", settings(), torch.device("cpu"))
    ours = AttackedRun.load(folder / "mid", folder / "shards", settings(), torch.device("cpu"))
    assert isinstance(run.net, OwnModel)
    assert run.widest_threat == "AV"
    rows = np.array([0, 1, 3])
    with torch.no_grad():
        expected = ours.net(ours.gather(rows).inputs)
        torch.testing.assert_close(run.net(run.gather(rows).inputs), expected)
    assert set(THREATS) == {"A", "V", "AV"}
    assert json.loads(path.with_suffix(".json").read_text())["classes"] == list("abcde")
    for file in ("adapter.py", "mid.safetensors"):
        before = (folder / file).read_bytes()
        (folder / file).write_bytes(before + b"\n")
        with pytest.raises(UserError, match=rf"{file} has changed since its model was admitted"):
            checkpoint.load(path)
        (folder / file).write_bytes(before)


def test_a_net_drawn_anew_each_time_is_refused(folder: Path) -> None:
    more = """
import torch


def drawn(weights, classes):
    net, generator = again(weights, classes), torch.Generator()
    generator.seed()
    nn.init.normal_(next(net.parameters()), generator=generator)
    return net
"""
    (folder / "adapter.py").write_text(ADAPTER + more, encoding="utf-8")
    with pytest.raises(UserError, match="makes a net of other weights each time: seed"):
        admit(folder, "own", factory="adapter.py:drawn")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"factory": "adapter.py:nobody"},
            "no function 'nobody', only again, nothing",
        ),
        ({"factory": "adapter.py:nothing"}, "returns NoneType: return an nn.Module"),
        ({"factory": "adapter.py:raising"}, "raised ValueError: no such layer"),
        ({"options": {"width": 3}}, "unexpected keyword argument 'width'"),
        ({"factory": "no_such_package.models:net", "code": "."}, "needs the package no_such_pac"),
    ],
)
def test_what_is_wrong_with_a_factory_is_one_line_with_the_row(
    folder: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        admit(folder, "own", **changes)
    assert str(caught.value).startswith("models.own: ")
    assert "\n" not in str(caught.value)


def test_a_net_that_hears_waveforms_wants_them_attacked(folder: Path) -> None:
    text = ADAPTER.replace('"audio": LogMel()', '"audio": Waveform(8000, 0.2)')
    text = text.replace("import Frames, LogMel", "import Frames, LogMel, Waveform")
    (folder / "hearing.py").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"set attack\.domain to waveform"):
        admit(folder, "own", factory="hearing.py:again", code="hearing.py")


def test_lazy_layers_and_missing_declarations_are_refused() -> None:
    from mmlib.models.factory import _declared

    with pytest.raises(UserError, match="lazy layers have no weights yet"):
        _declared(nets.Lazy())
    for name, value, said in (
        ("inputs", None, "it must have inputs"),
        ("inputs", {"sound": nets.SOUND}, "it must have inputs"),
        ("inputs", {"audio": nets.PICTURES}, "must be Waveform or LogMel"),
        ("classes", None, "it must have classes"),
        ("classes", ["a", "a"], "hold 'a' twice"),
        ("optional", ("words",), "a tuple of the inputs that clips may lack"),
    ):
        net: Any = nets.Kept()
        setattr(net, name, value)
        with pytest.raises(UserError, match=said):
            _declared(net)
