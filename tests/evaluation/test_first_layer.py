"""The cheap gradient of a first convolution is the gradient of that convolution."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mmlib.evaluation.attacked import frozen
from mmlib.evaluation.attacked.first_layer import (
    FirstLayer,
    is_first,
)
from tests.properties import examples
from tests.sweep_toys import inputs, model

small = st.integers(1, 3)


@examples(60)
@given(
    channels=st.integers(1, 4),
    kernel=st.tuples(st.integers(1, 7), st.integers(1, 5)),
    stride=st.tuples(small, small),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    size=st.tuples(st.integers(7, 12), st.integers(5, 9)),
    bias=st.booleans(),
)
def test_output_and_gradient_equal_the_library_s(
    channels: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    size: tuple[int, int],
    bias: bool,
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, 5, kernel, stride, padding, bias=bias).requires_grad_(False)
    assert is_first(layer)
    mine = FirstLayer(layer)
    x = torch.rand(2, channels, *size).requires_grad_()
    expected, found = layer(x), mine(x)
    assert torch.equal(found, expected)
    weights = torch.rand_like(expected)
    (theirs,) = torch.autograd.grad(expected, x, weights)
    (ours,) = torch.autograd.grad(found, x, weights)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(5, 8, 3),
        nn.Conv2d(2, 8, 3, groups=2),
        nn.Conv2d(2, 8, 3, dilation=2),
        nn.Conv2d(2, 8, 3, padding="same"),
        nn.Conv2d(2, 8, 3, padding=1, padding_mode="reflect"),
        nn.Conv3d(2, 8, 3),
    ],
)
def test_other_layers_are_not_touched(layer: nn.Module) -> None:
    assert not is_first(layer)


@pytest.mark.parametrize("fusion", ["mid", "early"])
def test_a_frozen_model_has_them_and_the_model_s_gradient(fusion: str) -> None:
    net, batch = model(fusion), inputs()
    folded = frozen.frozen(net, batch)
    assert any(isinstance(module, FirstLayer) for module in folded.modules())
    assert not any(isinstance(module, FirstLayer) for module in net.modules())
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in batch.items()}
    for ours, theirs in zip(
        torch.autograd.grad(folded(leaves).sum(), list(leaves.values())),
        torch.autograd.grad(net(leaves).sum(), list(leaves.values())),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-3)


def test_clips_without_a_modality_do_not_keep_its_encoder_from_being_folded() -> None:
    net, batch = model(), inputs()
    batch["video_present"] = torch.tensor([False, True, True])
    folded = frozen.frozen(net, batch)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
