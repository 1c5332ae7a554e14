"""A net made a second time: weights drawn instead of loaded, and what first clips leave."""

from pathlib import Path
from typing import Any

import pytest
import torch

from mmlib.models import own
from mmlib.models.factory import make
from mmlib.models.remade import check_first_calls, check_loaded
from mmlib.params.training import BY_NAME, FRESH, ModelRow
from mmlib.runtime.errors import UserError

NET = """
import torch
from torch import nn
from mmlib.models.contract import LogMel


class Net(nn.Module):
    inputs = {"audio": LogMel()}
    mean = None

    def __init__(self, classes):
        super().__init__()
        self.classes = classes
        self.layer, self.spare = nn.Linear(6, 2), nn.Linear(2, 2)

    def forward(self, batch):
        return self.layer(batch["audio"].mean(1))


class Kept(Net):
    def forward(self, batch):
        if self.mean is None:
            self.mean = batch["audio"].mean()
        return super().forward({"audio": batch["audio"] - self.mean})


def plain(weights, classes):
    net = Net(classes)
    if weights:
        net.load_state_dict(torch.load(weights), strict=False)
    return net


def kept(weights, classes):
    return Kept(classes)
"""
CLASSES = ["a", "b"]
HELD = {"seconds": 1.0, "sample_rate_hz": 8000, "samples": 8000, "frames": 4, "size": 32}


def row(folder: Path, function: str, weights: Path = FRESH) -> ModelRow:
    file = folder / "net.py"
    file.write_text(NET, encoding="utf-8")
    values = {"code": str(file), "weights": str(weights), "classes": str(BY_NAME), "options": {}}
    return ModelRow.model_validate({"factory": f"{file}:{function}"} | values)


@pytest.fixture(autouse=True)
def placeholders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    FRESH.parent.mkdir(parents=True)
    FRESH.write_text("{}", encoding="utf-8")


@pytest.mark.parametrize("function", ["plain", "kept"])
def test_a_net_that_keeps_something_of_its_first_clips_is_refused(
    tmp_path: Path, function: str
) -> None:
    of = row(tmp_path, function)
    model = own.wrap(make(of, CLASSES), of, [0, 1], HELD)
    clips: Any = {"audio": torch.rand(4, 5, 6, generator=torch.Generator().manual_seed(0))}
    with torch.no_grad():
        model(clips)
    if function == "plain":
        check_first_calls(model, CLASSES, clips)
        return
    with pytest.raises(UserError, match="called with other clips first: compute in each forward"):
        check_first_calls(model, CLASSES, clips)


def test_weights_that_are_drawn_instead_of_loaded_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused where most are; a warning where few; nothing where all are the file's."""
    weights = tmp_path / "net.pth"
    held = make(row(tmp_path, "plain"), CLASSES).state_dict()
    of = row(tmp_path, "plain", weights)
    torch.save({f"module.{name}": tensor for name, tensor in held.items()}, weights)
    with pytest.raises(UserError, match=r"4 of its 4 weights .layer.weight first. are drawn"):
        check_loaded(make(of, CLASSES), of, CLASSES)
    torch.save({name: held[name] for name in ("layer.weight", "layer.bias")}, weights)
    check_loaded(make(of, CLASSES), of, CLASSES)
    said = capsys.readouterr().err
    assert "2 of its 4 weights (spare.weight first) are drawn at random" in said
    assert said.count("\n") == 1
    torch.save(held, weights)
    check_loaded(make(of, CLASSES), of, CLASSES)
    assert not capsys.readouterr().err
