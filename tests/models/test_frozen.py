"""The folded and caching model that attacks call gives the model's own answers."""

import pytest
import torch
from torch import nn

from mmlib.models.base import Model
from mmlib.models.build import build
from mmlib.models.frozen import Frozen, fold
from tests.models.examples import (
    FUSIONS,
    SMALL_CNN14,
    SMALL_R2PLUS1D,
    clips,
    describe,
    manifest,
    small,
)


def with_statistics(model: Model) -> Model:
    """Batch norms that do something."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return model.eval()


def every_model() -> list[Model]:
    cnn14 = build(describe(SMALL_CNN14, SMALL_R2PLUS1D, "mid"), 5, manifest())
    return [small(modality="audio"), small(modality="video"), *map(small, FUSIONS), cnn14]


@pytest.mark.parametrize("model", every_model())
def test_folding_keeps_the_output_and_leaves_the_model_alone(model: Model) -> None:
    with_statistics(model)
    batch = clips(3)
    before = model(batch)
    folded = fold(model)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert not any(p.requires_grad for p in folded.parameters())
    torch.testing.assert_close(folded(batch), before, rtol=1e-4, atol=1e-5)
    assert torch.equal(model(batch), before)
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("model", every_model())
def test_frozen_gives_the_models_logits_and_input_gradients(model: Model) -> None:
    frozen = Frozen(with_statistics(model).double())
    found = []
    for call in (model, frozen):
        batch = {name: tensor.double().requires_grad_() for name, tensor in clips(3).items()}
        inputs = [batch[name] for name in model.modalities]
        logits = call(batch)
        found.append([logits.detach(), *torch.autograd.grad(logits.square().sum(), inputs)])
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-8, atol=1e-8)


def test_the_encoding_of_an_unchanged_modality_is_kept() -> None:
    frozen = Frozen(small("mid"))
    calls: list[str] = []
    for name, encoder in frozen.model.encoders.items():
        encoder.register_forward_hook(lambda *arguments, name=name: calls.append(name))
    batch = clips(2)
    for _ in range(3):
        attacked = {**batch, "audio": batch["audio"].clone().requires_grad_()}
        frozen(attacked)
    assert calls == ["audio", "video", "audio", "audio"]


def test_a_change_of_tensor_content_or_mask_is_noticed() -> None:
    model = small("mid").eval()
    frozen = Frozen(model)
    batch = clips(2)
    frozen(batch)
    batch["video"].mul_(0.5)
    torch.testing.assert_close(frozen(batch), model(batch), rtol=1e-4, atol=1e-5)
    batch = {**batch, "audio": torch.rand_like(batch["audio"])}
    torch.testing.assert_close(frozen(batch), model(batch), rtol=1e-4, atol=1e-5)
    batch = {**batch, "audio_present": torch.tensor([True, False])}
    torch.testing.assert_close(frozen(batch), model(batch), rtol=1e-4, atol=1e-5)
