"""Folded and cached models give the logits and gradients of the model itself."""

import pytest
import torch
from torch import Tensor, nn

from mmlib.attacks.core.threat import Budget
from mmlib.attacks.methods.pgd import pgd
from mmlib.batch import Batch
from mmlib.evaluation.attacked import frozen
from mmlib.evaluation.sweep.chunk import ChunkSweep
from mmlib.models import devices
from mmlib.models.base import Model
from mmlib.runtime.errors import UserError
from tests.sweep_toys import inputs, labelled, model, settings

CPU = torch.device("cpu")

THREATS = [("audio",), ("video",), ("audio", "video")]


def norms(net: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


@pytest.mark.parametrize("fusion", ["mid", "sum", "gated", "late", "early"])
def test_folding_leaves_the_logits_and_the_model_alone(fusion: str) -> None:
    net, batch = model(fusion), inputs()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    folded = frozen.frozen(net, batch)
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

    foreign = False

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.norm.running_mean = torch.linspace(0.0, 1.0, 4)

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
    folded = frozen.frozen(net, batch)
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
    carried, forward = frozen.cached(net, batch, embeddings, attacked)
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
        carried, forward = frozen.cached(net, batch, net.encode_all(batch), ["audio"])
        rows = torch.tensor([2, 0, 0])
        cut = forward({name: tensor[rows] for name, tensor in carried.items()})
        torch.testing.assert_close(cut, net(batch)[rows])


@pytest.mark.parametrize("attacked", THREATS)
def test_what_is_not_attacked_is_encoded_when_no_embedding_is_given(
    attacked: tuple[str, ...],
) -> None:
    net, batch = model(), inputs()
    carried, forward = frozen.cached(net, batch, None, attacked)
    added = {name for name in carried if name not in batch}
    assert added == {f"{name}_embedding" for name in net.modalities if name not in attacked}
    with torch.no_grad():
        torch.testing.assert_close(forward(carried), net(batch))


@pytest.mark.parametrize("attacked", THREATS)
@pytest.mark.parametrize("size", [1, 7])
def test_batch_size_does_not_change_an_attack(attacked: tuple[str, ...], size: int) -> None:
    clips = labelled(model(), clips=16)
    net = frozen.frozen(model(), clips.inputs)
    budgets = {name: Budget(0.02) for name in attacked}

    def attack(rows: range) -> Batch:
        chosen = torch.tensor(rows)
        part = {name: tensor[chosen] for name, tensor in clips.inputs.items()}
        batch, forward = frozen.cached(net, part, None, attacked)
        return pgd(forward, batch, clips.labels[chosen], budgets, seeds=list(rows), steps=5)

    whole = attack(range(16))
    parts = [attack(range(first, min(first + size, 16))) for first in range(0, 16, size)]
    with torch.no_grad():
        logits = torch.cat([net({name: part[name] for name in clips.inputs}) for part in parts])
        expected = net({name: whole[name] for name in clips.inputs})
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_precision_of_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MMLIB_SEARCH", raising=False)
    assert devices.search_precision(CPU) == torch.float32
    assert frozen.rough(model(), CPU) is None
    monkeypatch.setenv("MMLIB_SEARCH", "bfloat16")
    assert devices.search_precision(CPU) == torch.bfloat16
    monkeypatch.setenv("MMLIB_SEARCH", "half")
    with pytest.raises(UserError, match="'half': set it to float32 or bfloat16"):
        devices.search_precision(CPU)


def test_a_sweep_searched_in_bfloat16_reports_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    net = model()
    clips = labelled(net)
    exact = ChunkSweep(net, clips, settings(), seed=3).run()
    monkeypatch.setenv("MMLIB_SEARCH", "bfloat16")
    sweep = ChunkSweep(net, clips, settings(), seed=3)
    rough = {record.condition: record for record in sweep.run()}
    clean = rough["clean", "clean", 0.0]
    for name, multiple in sweep.solutions:
        record = rough[name, "pgd", multiple]
        with torch.no_grad():
            again = net({**clips.inputs, **sweep.solutions[name, multiple].points})
        torch.testing.assert_close(record.scores, again, atol=1e-5, rtol=1e-5)
        assert bool((record.loss >= clean.loss).all())
    for record in exact:
        found = rough[record.condition].loss.mean()
        torch.testing.assert_close(found, record.loss.mean(), atol=0.0, rtol=0.05)


@pytest.mark.parametrize("missing", [(False, True, True), (False, False, False)])
def test_clips_without_a_track_are_searched_in_bfloat16_too(missing: tuple[bool, ...]) -> None:
    net = frozen.frozen(model(), inputs())
    batch = {**inputs(), "audio_present": torch.tensor(missing)}
    carried, forward = frozen.cached(net, batch, net.encode_all(batch), {"audio": Budget(0.1)})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = forward(carried).float()
    torch.testing.assert_close(found, net(batch), atol=0.05, rtol=0.05)


def test_a_compiler_that_fails_costs_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    net, batch = model(), inputs()
    assert frozen.compiled(net, batch) is net  # not on a CPU

    def failing(_: nn.Module) -> None:
        raise RuntimeError("no C++ compiler\nand a long trace")

    monkeypatch.setattr(devices, "compiles", lambda _: True)
    monkeypatch.setattr(nn.Module, "compile", failing)
    assert frozen.compiled(net, batch) is net
    assert capsys.readouterr().err == "not compiled, RuntimeError: no C++ compiler\n"


def test_encoders_are_compiled_in_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    net, batch, seen = model(), inputs(), []
    monkeypatch.setattr(devices, "compiles", lambda _: True)
    monkeypatch.setattr(nn.Module, "compile", lambda module: seen.append(module))
    copy = frozen.compiled(net, batch)
    assert copy is not net
    assert seen == list(copy.encoders.values())
    with torch.no_grad():
        assert torch.equal(copy(batch), net(batch))
