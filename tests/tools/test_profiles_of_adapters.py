"""The profile of an adapter's name gives it clips as it declares them, and it is admitted."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from examples import ast_transformer, cav_mae, panns_cnn14, r2plus1d_18, videomae
from mmlib.batch import Batch
from mmlib.models.admission import admit
from mmlib.models.contract import Frames, Waveform
from mmlib.models.own import OwnModel
from mmlib.params.whole.file import load
from tests.conftest import ROOT
from tests.tools.test_evaluate import held_by
from tools import profiles

CLASSES = ["bell", "horn", "rain"]
NARROW = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
}


class Small(nn.Module):
    """In the place of torchvision's 31 million parameters."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 8, (3, 9, 9), stride=8)
        self.fc: nn.Module = nn.Linear(8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc(self.conv(x).relu().mean((2, 3, 4)))
        return found


# Every adapter with its own rates, counts and sizes; only its layers are narrow.
ADAPTERS: dict[str, Callable[[], Any]] = {
    "panns_cnn14": lambda: panns_cnn14.factory(None, CLASSES, width=2),
    "ast_transformer": lambda: ast_transformer.factory(None, CLASSES, **NARROW),
    "cav_mae": lambda: cav_mae.factory(None, CLASSES, dim=8, heads=2),
    "r2plus1d_18": lambda: r2plus1d_18.factory(None, CLASSES),
    "videomae": lambda: videomae.factory(None, CLASSES, **NARROW),
}


def clips(held: dict[str, Any]) -> Batch:
    """Two clips as the shards hold them."""
    generator = torch.Generator().manual_seed(0)
    shape = 2, 3, held["frames"], held["size"], held["size"]
    loud = torch.tensor([[0.1], [0.3]])
    sound = loud * torch.randn(2, held["samples"], generator=generator)
    return {"audio": sound.clamp(-1, 1), "video": torch.rand(shape, generator=generator)}


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_an_adapter_reads_clips_of_its_profile_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(r2plus1d_18, "r2plus1d_18", Small)
    path = Path(shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml"))
    profiles.apply(f"folder own_model {name}", ROOT / "profiles", path)
    params = load(path)
    torch.manual_seed(0)
    net = ADAPTERS[name]().eval().requires_grad_(False)
    held = held_by(params.shard)
    model = OwnModel(net, range(len(CLASSES)), held)
    seen = {key: clip for key, clip in clips(held).items() if key in net.inputs}
    admit(model, seen)
    for key, read in model.fitted(seen).items():
        assert read is seen[key], "neither resampled nor chosen from nor scaled"
    sound, pictures = net.inputs.get("audio"), net.inputs.get("video")
    if isinstance(sound, Waveform):
        assert params.decode.sample_rate_hz == sound.rate_hz
        assert (params.attack.domain, params.shard.waveforms) == ("waveform", "all")
    if isinstance(pictures, Frames):
        assert params.decode.size >= pictures.size
        assert params.decode.fps >= pictures.rate_hz
