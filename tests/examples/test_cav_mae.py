"""CAV-MAE from a checkpoint with the published names, against numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, logit, logsumexp

from examples.cav_mae import factory
from mmlib.runtime.arrays import Floats
from tests.examples.agreement import (
    CLASSES,
    assert_contract,
    assert_gradient,
    assert_logits,
    assert_silence_has_a_gradient,
    clips,
)
from tests.examples.references import (
    Tensors,
    arrays,
    block,
    kaldi_log_mel,
    layer_norm,
    linear,
    padded,
    patches,
    random_tensors,
)

SIZES: dict[str, Any] = {"dim": 8, "heads": 2, "own": 11, "length": 64, "size": 32, "seconds": 0.5}
NAMES = ("norm1", "", "", "", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")


def published(classes: int, dim: int, own: int, audio: int, video: int) -> dict[str, list[int]]:
    """Names and shapes in as-full-51.2.pth: 768 wide, 512 tokens of audio and 196 of video."""
    state = {
        "patch_embed_a.proj.weight": [dim, 1, 16, 16],
        "patch_embed_v.proj.weight": [dim, 3, 16, 16],
        "pos_embed_a": [1, audio, dim],
        "pos_embed_v": [1, video, dim],
    }
    for letter in "av":
        state |= {f"patch_embed_{letter}.proj.bias": [dim], f"modality_{letter}": [1, 1, dim]}
    layers = [f"blocks_{x}.{i}" for x in "av" for i in range(own)]
    layers += [f"blocks_u.{i}" for i in range(12 - own)]
    norms = [f"{name}.norm{i}{x}" for name in layers for i in (1, 2) for x in ("", "_a", "_v")]
    for name in [*norms, "norm", "norm_a", "norm_v", "mlp_head.0"]:
        state |= {f"{name}.weight": [dim], f"{name}.bias": [dim]}
    dense = {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
    for name in layers:
        for part, (out, into) in dense.items():
            state[f"{name}.{part}.weight"] = [out * dim, into * dim]
            state[f"{name}.{part}.bias"] = [out * dim]
    state |= {"mlp_head.1.weight": [classes, dim], "mlp_head.1.bias": [classes]}
    return {f"module.{name}": shape for name, shape in state.items()}


def layer(x: Floats, tensors: Tensors, name: str, only: str = "") -> Floats:
    names = [f"{name}.{part}{only if part.startswith('norm') else ''}" for part in NAMES]
    return block(x, tensors, names, heads=2, eps=1e-5, qkv=f"{name}.attn.qkv")


def reference(sound: Floats | None, frame: Floats | None, tensors: Tensors) -> Floats:
    """Logits (K,) of one clip: sound (N,) and one frame (3, H, W), or one of the two."""
    parts = []
    if sound is not None:
        energies = padded(kaldi_log_mel(sound - sound.mean()), 64)
        parts.append(("a", ((energies + 5.081) / 4.4849).T[None]))
    if frame is not None:
        mean, std = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
        parts.append(("v", (frame - mean[:, None, None]) / std[:, None, None]))
    tokens = []
    for letter, image in parts:
        x = patches(image, tensors, f"patch_embed_{letter}.proj", 16)
        x = x + tensors[f"pos_embed_{letter}"][0] + tensors[f"modality_{letter}"][0]
        for index in range(11):
            x = layer(x, tensors, f"blocks_{letter}.{index}")
        tokens.append(x)
    only = f"_{parts[0][0]}" if len(parts) == 1 else ""
    x = layer(np.concatenate(tokens), tensors, "blocks_u.0", only)
    x = layer_norm(x, tensors, f"norm{only}", 1e-5).mean(0, keepdims=True)
    return linear(layer_norm(x, tensors, "mlp_head.0", 1e-5), tensors, "mlp_head.1").reshape(-1)


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """As published: the positions of 4 x 8 patches of sound and 2 x 2 of a picture."""
    return random_tensors(published(len(CLASSES), 8, 11, 32, 4))


@pytest.fixture(scope="module")
def checkpoint(state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cav_mae") / "audio_model.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def tensors(state: dict[str, torch.Tensor]) -> Tensors:
    return {name.removeprefix("module."): array for name, array in arrays(state).items()}


@pytest.mark.parametrize("modalities", ["both", "audio", "video"])
def test_it_equals_the_published_net_on_one_frame(
    checkpoint: Path, tensors: Tensors, modalities: str
) -> None:
    model = factory(checkpoint, CLASSES, modalities=modalities, frames=1, **SIZES)
    batch = clips(model)
    expected = [
        reference(
            batch["audio"][clip].double().numpy() if "audio" in batch else None,
            batch["video"][clip, :, 0].double().numpy() if "video" in batch else None,
            tensors,
        )
        for clip in range(3)
    ]
    assert hasattr(model, "embed")
    assert_contract(model, batch)
    assert_logits(model, batch, np.stack(expected))


@pytest.mark.parametrize("several", ["sigmoid", "softmax"])
def test_over_frames_it_averages_probabilities(
    checkpoint: Path, tensors: Tensors, several: str
) -> None:
    model = factory(checkpoint, CLASSES, frames=3, several=several, **SIZES)
    batch = clips(model)
    arrays64 = {name: tensor.double().numpy() for name, tensor in batch.items()}
    frames = np.array(
        [
            [reference(sound, video[:, frame], tensors) for frame in range(3)]
            for sound, video in zip(arrays64["audio"], arrays64["video"], strict=True)
        ]
    )
    assert not hasattr(model, "embed")
    assert_contract(model, batch)
    if several == "sigmoid":
        expected = logit(expit(frames).mean(1))
    else:  # logits are free up to a constant; these are log probabilities, times the frames
        expected = logsumexp(log_softmax(frames, axis=2), axis=1)
    assert_logits(model, batch, expected)


def test_its_gradient_agrees_with_finite_differences(checkpoint: Path) -> None:
    model = factory(checkpoint, CLASSES, frames=2, **SIZES)
    assert_silence_has_a_gradient(model, clips(model))
    assert_gradient(model, clips(model))


def test_by_default_it_has_the_published_names_and_sizes() -> None:
    model = factory(None, [f"class {index}" for index in range(527)], dim=12)
    ours = {f"module.{name}": list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert ours == published(527, 12, 11, 512, 196)
