"""VideoMAE from pixels, against numpy."""

from pathlib import Path

import numpy as np
import torch
from transformers import VideoMAEConfig, VideoMAEForVideoClassification

from examples.videomae import factory
from mmlib.runtime.arrays import Floats
from tests.examples.agreement import (
    CLASSES,
    assert_contract,
    assert_gradient,
    assert_logits,
    clips,
)
from tests.examples.references import (
    Tensors,
    arrays,
    block,
    layer_norm,
    linear,
    patches,
    randomise,
)

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "num_frames": 4,
}
NAMES = (
    "layernorm_before",
    "attention.attention.query",
    "attention.attention.key",
    "attention.attention.value",
    "attention.output.dense",
    "layernorm_after",
    "intermediate.dense",
    "output.dense",
)


def sinusoids(positions: int, dim: int) -> Floats:
    """Sine in even places, cosine in odd ones, each pair at its own wavelength."""
    angles = np.arange(positions)[:, None] / 10000.0 ** (np.arange(dim) // 2 * 2 / dim)
    return np.asarray(np.where(np.arange(dim) % 2 == 0, np.sin(angles), np.cos(angles)))


def reference(video: Floats, tensors: Tensors) -> Floats:
    """Logits (K,) of one clip (3, T, H, W): every two frames are cut into patches together."""
    mean, std = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
    seen = (video - mean[:, None, None, None]) / std[:, None, None, None]
    name = "net.embeddings.patch_embeddings.projection"
    pairs = [seen[:, start : start + 2] for start in range(0, seen.shape[1], 2)]
    x = np.concatenate([patches(pair, tensors, name, stride=16) for pair in pairs])
    x = x + sinusoids(*x.shape)
    for layer in range(SIZES["num_hidden_layers"]):
        names = [f"net.encoder.layer.{layer}.{name}" for name in NAMES]
        x = block(x, tensors, names, heads=2, eps=1e-12)
    pooled = layer_norm(x.mean(0, keepdims=True), tensors, "norm", 1e-12)
    return linear(pooled, tensors, "head").reshape(-1)


def test_it_equals_the_net_in_numpy_from_pixels_and_so_does_its_gradient() -> None:
    model = factory(None, CLASSES, **SIZES)
    randomise(model)
    batch = clips(model)
    tensors = arrays(model.state_dict())
    expected = [reference(clip.double().numpy(), tensors) for clip in batch["video"]]
    assert_contract(model, batch)
    assert_logits(model, batch, np.stack(expected))
    assert_gradient(model, batch)


def test_it_reads_a_saved_model_and_takes_its_sizes(tmp_path: Path) -> None:
    names = dict(enumerate(CLASSES))
    saved = VideoMAEForVideoClassification(VideoMAEConfig(id2label=names, **SIZES))
    randomise(saved)
    saved.save_pretrained(tmp_path)
    model = factory(tmp_path / "model.safetensors", ["dog"], rate_hz=15.0)
    assert model.classes == CLASSES
    form = model.inputs["video"]
    assert (form.count, form.rate_hz, form.size) == (4, 15.0, 32)
    batch = clips(model)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    pixels = (batch["video"].permute(0, 2, 1, 3, 4) - mean) / std
    with torch.no_grad():
        expected = saved.eval()(pixel_values=pixels).logits
    assert_logits(model, batch, expected)


def test_a_net_without_mean_pooling_is_read_at_its_first_token() -> None:
    model = factory(None, CLASSES, use_mean_pooling=False, **SIZES)
    assert_contract(model, clips(model))
