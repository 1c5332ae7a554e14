"""Silero's speech detector: its logit against the package's own net, fed chunk by chunk."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from examples.silero_speech import factory
from tests.examples.agreement import (
    assert_contract,
    assert_gradient,
    assert_silence_has_a_gradient,
    clips,
)

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return factory(None, ["bell"], seconds=0.3)


def published(clip: Tensor) -> float:
    """The largest probability of a clip's chunks; the net keeps its state from one to the next."""
    package = find_spec("silero_vad")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "data" / "silero_vad.jit"
    net = torch.jit.load(path)  # type: ignore[no-untyped-call]
    chunks = torch.nn.functional.pad(clip, (0, -len(clip) % 512)).view(-1, 512)
    with torch.no_grad():
        return max(float(net(chunk, 16000)) for chunk in chunks)


def test_its_sigmoid_is_the_published_probability(model: nn.Module) -> None:
    batch = clips(model)
    expected = torch.tensor([[published(clip)] for clip in batch["audio"]])
    assert_contract(model, batch)
    with torch.no_grad():
        torch.testing.assert_close(model(batch).sigmoid(), expected, rtol=1e-4, atol=1e-6)


def test_its_gradient_agrees_with_finite_differences() -> None:
    made = factory(None, ["speech"], seconds=0.3)
    assert_silence_has_a_gradient(made, clips(made))
    assert_gradient(made, clips(made))


def test_importing_it_leaves_torchs_threads_alone() -> None:
    before = torch.get_num_threads()
    factory(None, ["speech"])
    assert torch.get_num_threads() == before
