"""What every adapter must do: the contract, and gradients that finite differences confirm."""

from typing import Any

import torch
from torch import Tensor, nn

from mmlib.batch import Batch
from mmlib.models.contract import Frames, Waveform

CLIPS = 3
CLASSES = ["bell", "horn", "rain", "dog", "speech"]
STEP = 1e-8
"""Of the finite differences, in the units of the input: in float64 short enough to meet few kinks
of ReLUs (1e-6 of a deep net's slope is lost to them at 100 times the step), and no shorter."""


def clips(model: Any, seed: int = 0) -> Batch:
    """Random clips that differ from each other, in the form that the model declares."""
    generator = torch.Generator().manual_seed(seed)
    batch: Batch = {}
    for name, form in model.inputs.items():
        if isinstance(form, Waveform):
            loud = torch.linspace(0.1, 0.3, CLIPS)[:, None]
            noise = torch.randn(CLIPS, form.samples, generator=generator)
            batch[name] = (loud * noise).clamp(-1, 1)
        elif isinstance(form, Frames):
            shape = CLIPS, 3, form.count, form.size, form.size
            batch[name] = torch.rand(shape, generator=generator)
    return batch


def assert_contract(model: Any, batch: Batch) -> None:
    """Check outputs, names, evaluation mode, independence of the batch and untouched inputs."""
    before = {name: tensor.clone() for name, tensor in batch.items()}
    with torch.no_grad():
        logits = model(batch)
        again = model(batch)
        alone = torch.cat([model({k: v[i : i + 1] for k, v in batch.items()}) for i in (0, 1, 2)])
        if hasattr(model, "embed"):
            assert isinstance(model.head, nn.Linear)
            torch.testing.assert_close(model.head(model.embed(batch)), logits)
        if hasattr(model, "encode"):
            apart = model.classify({name: model.encode(name, batch[name]) for name in batch})
            torch.testing.assert_close(apart, logits)
    assert logits.shape == (CLIPS, len(model.classes))
    assert logits.dtype == torch.float32
    assert torch.equal(logits, again)
    assert not torch.equal(logits[0], logits[1])
    torch.testing.assert_close(alone, logits, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(batch[name], tensor) for name, tensor in before.items())


def assert_logits(model: Any, batch: Batch, expected: Any) -> None:
    """Compare with the logits (B, K) of an independent implementation, to 1e-4."""
    with torch.no_grad():
        got = model(batch)
    wanted = torch.as_tensor(expected)
    assert float(wanted.abs().max()) > 1e-2, "logits this small would agree with anything"
    torch.testing.assert_close(got.double(), wanted.double(), rtol=1e-4, atol=1e-4)


def assert_gradient(model: Any, batch: Batch, seed: int = 1) -> None:
    """Compare the gradient in every input with central differences along random directions."""
    generator = torch.Generator().manual_seed(seed)
    model = model.double()
    inputs = {name: tensor.double() for name, tensor in batch.items()}
    weights = torch.randn(CLIPS, len(model.classes), dtype=torch.float64, generator=generator)

    def objective(changed: Batch) -> Tensor:
        value: Tensor = (model({**inputs, **changed}) * weights).sum()
        return value

    for name, tensor in inputs.items():
        leaf = tensor.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(objective({name: leaf}), leaf)
        clips_reached = gradient.flatten(1).abs().amax(1)
        assert bool((clips_reached > 0).all()), f"no gradient in {name}"
        direction = torch.randn(tensor.shape, dtype=torch.float64, generator=generator)
        with torch.no_grad():
            further = objective({name: tensor + STEP * direction})
            nearer = objective({name: tensor - STEP * direction})
        slope = float((gradient * direction).sum())
        assert abs(float(further - nearer) / (2 * STEP) - slope) <= 1e-5 * abs(slope) + 1e-6


def assert_silence_has_a_gradient(model: Any, batch: Batch) -> None:
    """Check that it is finite where a clip is digital silence, in part or all of it."""
    sound = batch["audio"].clone()
    sound[0] = 0.0
    sound[1, sound.shape[1] // 2 :] = 0.0
    leaf = sound.requires_grad_()
    (gradient,) = torch.autograd.grad(model({**batch, "audio": leaf}).sum(), leaf)
    assert bool(torch.isfinite(gradient).all())
    assert bool((gradient[1] != 0).any())
