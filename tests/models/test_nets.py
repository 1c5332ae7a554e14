"""The nets one by one: sizes as published, outputs as those of the reference."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mmlib.models.base import Model
from mmlib.models.build import build
from mmlib.models.cnn14 import Cnn14
from mmlib.models.csn import Csn
from mmlib.models.r2plus1d import R2plus1d
from tests.models.examples import (
    PAPER_CNN14,
    PAPER_CSN,
    PAPER_R2PLUS1D,
    clips,
    describe,
    manifest,
    parameter_count,
)
from tests.properties import examples

AUDIOSET = 527


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Weights and inputs are the same in every run."""
    torch.manual_seed(0)


def paper_manifest() -> dict[str, dict[str, object]]:
    return manifest(frames=400, bands=64, pictures=16, side=112)


def torchvision_twin() -> tuple[nn.Module, R2plus1d]:
    """torchvision's r2plus1d_18 with statistics of its own, and ours with the same weights."""
    torch.manual_seed(0)
    theirs = torchvision.models.video.r2plus1d_18().eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm3d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    theirs.fc = nn.Identity()
    ours = R2plus1d().eval()
    pairs = zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    for mine, value in pairs:
        mine.copy_(value.reshape(mine.shape))
    return theirs, ours


def test_r2plus1d_equals_torchvision() -> None:
    theirs, ours = torchvision_twin()
    x = torch.randn(2, 3, 8, 56, 56)
    with torch.no_grad():
        expected, got = theirs(x), ours(x)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_r2plus1d_gradients_equal_torchvisions() -> None:
    theirs, ours = torchvision_twin()
    weights = torch.randn(512)
    gradients: list[torch.Tensor] = []
    x = torch.randn(1, 3, 4, 32, 32, dtype=torch.float64, requires_grad=True)
    for net in (theirs.double(), ours.double()):  # in float32 some ReLU falls on the other side
        gradients += torch.autograd.grad((net(x) * weights).sum(), x)
    scale = float(gradients[0].abs().max())
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-9, atol=1e-9 * scale)


def test_r2plus1d_has_the_published_size() -> None:
    net = R2plus1d()
    assert net.dim == 512
    assert parameter_count(net) == 31_300_125
    # torchvision's documented count, its head of 400 classes included
    assert parameter_count(net) + 400 * 513 == 31_505_325


def test_csn_has_the_published_size() -> None:
    shared = Csn(64, share_blocks=True)
    unshared = Csn(64)
    assert shared.dim == unshared.dim == 1024
    assert parameter_count(shared) == 11_016_353
    assert parameter_count(unshared) == 17_318_049
    # The authors' 12.1 M and 18.4 M: they add to these bodies a bias in each convolution, and one
    # attention vector for each class where ours has one for all.
    biases = 2 * (32 + 64 + 128 + 256 + 512)
    head = AUDIOSET * 1025
    per_class_attention = head - 1025
    assert parameter_count(shared) + biases + head + per_class_attention == 12_097_662
    assert parameter_count(unshared) + biases + head + per_class_attention == 18_399_358


def test_cnn14_has_the_published_size() -> None:
    net = Cnn14()
    assert net.dim == 2048
    batch_norm_of_the_input = 128
    head = AUDIOSET * 2049
    assert parameter_count(net) + batch_norm_of_the_input + head == 80_753_615


def panns(net: Cnn14, x: Tensor) -> Tensor:
    """The embedding as PANNs' class Cnn14 computes it, call by call, from our net's weights."""
    x = x[:, None]
    for level, block in enumerate(net.blocks):
        assert isinstance(block, nn.Sequential)
        for layer in block:
            x = layer(x)
        size = (2, 2) if level < 5 else (1, 1)
        x = F.dropout(F.avg_pool2d(x, size), p=0.2, training=net.training)
    x = torch.mean(x, dim=3)
    x = torch.max(x, dim=2).values + torch.mean(x, dim=2)
    x = F.dropout(x, p=0.5, training=net.training)
    return F.dropout(F.relu(net.dense(x)), p=0.5, training=net.training)


@pytest.mark.parametrize("training", [True, False])
def test_cnn14_drops_out_where_panns_does(training: bool) -> None:
    """Equal draws of the same masks, in the same places, give the same embedding."""
    net = Cnn14(width=2).train(training)
    x = torch.rand(4, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        ours = net(x)
        torch.manual_seed(3)
        theirs = panns(net, x)
        again = net(x)
    torch.testing.assert_close(ours, theirs)
    assert torch.equal(ours, again) == (not training)
    if training:
        assert (ours == 0).float().mean() > 0.4


@pytest.mark.parametrize(
    ("audio", "video", "fusion"),
    [
        (PAPER_CSN, None, None),
        (PAPER_CNN14, None, None),
        (None, PAPER_R2PLUS1D, None),
        (PAPER_CSN, PAPER_R2PLUS1D, "mid"),
    ],
)
@pytest.mark.slow
def test_paper_profile_learns_one_step(
    audio: dict[str, object] | None, video: dict[str, object] | None, fusion: str | None
) -> None:
    architecture = describe(audio, video, fusion, heads=fusion is not None, hidden=1024)
    model = build(architecture, AUDIOSET, paper_manifest())
    labels = torch.zeros(2, AUDIOSET)
    labels[:, :3] = 1.0
    loss = step(model, labels)
    assert torch.isfinite(loss)
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    # Only the vectors that stand for a missing modality saw no clip.
    unseen = [name for name, p in model.named_parameters() if p.grad is None]
    assert all(name.startswith("missing.") for name in unseen)


def step(model: Model, labels: torch.Tensor) -> torch.Tensor:
    heads = model.train().heads(clips(2, paper_manifest()))
    loss = torch.stack(
        [nn.functional.binary_cross_entropy_with_logits(h, labels) for h in heads.values()]
    ).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    return loss


def test_a_batch_with_one_audible_clip_is_learnt_from() -> None:
    """Six halvings leave a clip one value a channel, which has no variance: normed as in eval."""
    net = Cnn14(width=1, dropout=0.0).train()
    net.dense_dropout.p = 0.0
    many, one = torch.rand(4, 32, 32), torch.rand(1, 32, 32)
    net(many)
    norms = [layer for layer in net.blocks[-1].modules() if isinstance(layer, nn.BatchNorm2d)]
    assert dict(norms[0].named_buffers())["running_var"].ne(1).any(), "several clips leave some"
    before = [buffer.clone() for norm in norms for buffer in norm.buffers()]
    found = net(one)
    for norm in norms:
        norm.eval()
    after = [buffer for norm in norms for buffer in norm.buffers()]
    assert all(map(torch.equal, after, before)), "one value leaves no statistics"
    torch.testing.assert_close(net(one), found)
    gradients = torch.autograd.grad(found.sum(), list(net.parameters()))
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
    assert any(bool(gradient.any()) for gradient in gradients)


def test_csn_pools_logits_and_vectors_alike() -> None:
    net = Csn(32, width=2).eval()
    head = nn.Linear(net.dim, 5)
    steps: list[torch.Tensor] = []
    net.attention.register_forward_pre_hook(lambda module, inputs: steps.append(inputs[0]))
    with torch.no_grad():
        pooled = head(net(torch.randn(3, 40, 32)))
        weights = net.attention(steps[0]).softmax(dim=1)
        pooled_logits = (weights * head(steps[0])).sum(dim=1)
    assert steps[0].shape == (3, 10, 32)
    torch.testing.assert_close(pooled, pooled_logits)


def test_csn_paper_input_becomes_100_steps_of_1024() -> None:
    net = Csn(64).eval()
    shapes: list[torch.Size] = []
    net.attention.register_forward_pre_hook(lambda module, inputs: shapes.append(inputs[0].shape))
    with torch.no_grad():
        net(torch.randn(1, 400, 64))
    assert shapes == [(1, 100, 1024)]


def test_sharing_applies_one_block_twice() -> None:
    shared = Csn(32, width=2, share_blocks=True).eval()
    unshared = Csn(32, width=2).eval()
    weights = shared.state_dict()
    for name, value in list(weights.items()):
        if name.startswith("blocks.0."):
            weights[name.replace("blocks.0.", "blocks.1.")] = value
    unshared.load_state_dict(weights)
    x = torch.randn(2, 12, 32)
    assert torch.equal(shared(x), unshared(x))


@examples(15)
@given(frames=st.integers(4, 70), bands=st.sampled_from([32, 64, 128]))
def test_csn_takes_any_length(frames: int, bands: int) -> None:
    torch.manual_seed(0)
    net = Csn(bands, width=2).eval()
    with torch.no_grad():
        assert net(torch.randn(2, frames, bands)).shape == (2, bands)


@examples(15)
@given(
    frames=st.integers(1, 9),
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    blocks=st.lists(st.integers(1, 2), min_size=1, max_size=4),
)
def test_r2plus1d_takes_any_size(frames: int, height: int, width: int, blocks: list[int]) -> None:
    torch.manual_seed(0)
    net = R2plus1d(width=4, blocks=tuple(blocks)).eval()
    with torch.no_grad():
        out = net(torch.randn(2, 3, frames, height, width))
    assert out.shape == (2, 4 << (len(blocks) - 1))
    assert out.isfinite().all()
