"""Folded and cached models give the logits and gradients of the model itself."""

import pytest
import torch
from torch import Tensor, nn

from mmlib import inference
from mmlib.batch import Batch
from mmlib.models.base import Model
from tests.sweep_toys import inputs, model

THREATS = [("audio",), ("video",), ("audio", "video")]


def norms(net: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


@pytest.mark.parametrize("fusion", ["mid", "sum", "gated", "late", "early"])
def test_folding_leaves_the_logits_and_the_model_alone(fusion: str) -> None:
    net, batch = model(fusion), inputs()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    folded = inference.frozen(net, batch)
    assert norms(net) > 0
    assert norms(folded) == 0
    with torch.no_grad():
        torch.testing.assert_close(folded(batch), net(batch), atol=1e-5, rtol=1e-5)
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    assert all(parameter.requires_grad for parameter in net.parameters())
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name])


class Shared(nn.Module):
    """One convolution that is read twice, once past its batch norm: it must not be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.norm.running_mean = torch.rand(4)

    def forward(self, batch: Batch) -> Tensor:
        maps = self.conv(batch["video"][:, :, 0])
        logits: Tensor = (self.norm(maps) + maps.square()).mean((2, 3))
        return logits


class InPlace(Shared):
    """A ReLU between convolution and norm that writes in place."""

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.norm(self.conv(batch["video"][:, :, 0]).relu_()).mean((2, 3))
        return logits


@pytest.mark.parametrize("kind", [Shared, InPlace])
def test_what_cannot_be_folded_is_left_as_it_is(kind: type[Model]) -> None:
    net, batch = kind().eval(), inputs()  # type: ignore[call-arg]
    folded = inference.frozen(net, batch)
    assert norms(folded) == 1
    with torch.no_grad():
        assert torch.equal(folded(batch), net(batch))


@pytest.mark.parametrize("attacked", THREATS)
@pytest.mark.parametrize("missing", [(), ("audio",), ("video",), ("audio", "video")])
def test_caching_changes_neither_logits_nor_gradients(
    attacked: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    net, batch = model(), inputs()
    for name in missing:
        batch[f"{name}_present"] = torch.tensor([True, False, True])
    with torch.no_grad():
        embeddings = net.encode_all(batch)
    carried, forward = inference.cached(net, batch, embeddings, attacked)
    leaves = {name: batch[name].detach().requires_grad_() for name in attacked}
    found = forward({**carried, **leaves})
    expected = net({**batch, **leaves})
    torch.testing.assert_close(found, expected)
    for gradients in zip(
        torch.autograd.grad(found.square().sum(), list(leaves.values()), retain_graph=True),
        torch.autograd.grad(expected.square().sum(), list(leaves.values())),
        strict=True,
    ):
        torch.testing.assert_close(*gradients)


def test_cached_rows_may_be_cut_and_repeated() -> None:
    net, batch = model(), inputs()
    with torch.no_grad():
        carried, forward = inference.cached(net, batch, net.encode_all(batch), ["audio"])
        rows = torch.tensor([2, 0, 0])
        cut = forward({name: tensor[rows] for name, tensor in carried.items()})
        torch.testing.assert_close(cut, net(batch)[rows])
