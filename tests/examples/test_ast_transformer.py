"""AST from the waveform, against numpy and against transformers' own feature extractor."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

from examples.ast_transformer import Ast, factory
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
    randomise,
)

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_length": 64,
}
NAMES = (
    "layernorm_before",
    "attention.q_proj",
    "attention.k_proj",
    "attention.v_proj",
    "attention.o_proj",
    "layernorm_after",
    "mlp.fc1",
    "mlp.fc2",
)


def reference(samples: Floats, tensors: Tensors) -> Floats:
    energies = padded(kaldi_log_mel(samples), SIZES["max_length"])
    heard = (energies + 4.2677393) / (2 * 4.5689974)
    places = "net.embeddings."
    x = patches(heard.T[None], tensors, f"{places}patch_embeddings.projection", stride=10)
    first = [tensors[f"{places}{name}_token"][0] for name in ("cls", "distillation")]
    x = np.concatenate([*first, x]) + tensors[f"{places}position_embeddings"][0]
    for layer in range(SIZES["num_hidden_layers"]):
        names = [f"net.layers.{layer}.{name}" for name in NAMES]
        x = block(x, tensors, names, heads=2, eps=1e-12)
    pooled = layer_norm(x, tensors, "net.layernorm", 1e-12)[:2].mean(0, keepdims=True)
    return linear(layer_norm(pooled, tensors, "norm", 1e-12), tensors, "head").reshape(-1)


@pytest.fixture(scope="module")
def model() -> Ast:
    made = factory(None, CLASSES, seconds=0.5, **SIZES)  # 48 frames, and 16 of zeros
    randomise(made)
    return made


def test_it_equals_the_net_in_numpy_from_the_waveform(model: Ast) -> None:
    batch = clips(model)
    tensors = arrays(model.state_dict())
    expected = [reference(clip.double().numpy(), tensors) for clip in batch["audio"]]
    assert_contract(model, batch)
    assert_logits(model, batch, np.stack(expected))


def test_it_equals_transformers_own_pipeline_clip_by_clip(model: Ast) -> None:
    batch = clips(model)
    extractor = ASTFeatureExtractor(max_length=SIZES["max_length"])
    features = [
        extractor(clip.numpy(), sampling_rate=16000, return_tensors="pt")["input_values"]
        for clip in batch["audio"]
    ]
    with torch.no_grad():
        expected = model.head(model.norm(model.net(torch.cat(features)).pooler_output))
    assert_logits(model, batch, expected)


def test_its_gradient_agrees_with_finite_differences() -> None:
    made = factory(None, CLASSES, seconds=0.5, **SIZES)
    randomise(made)
    assert_silence_has_a_gradient(made, clips(made))
    assert_gradient(made, clips(made))


def test_it_reads_a_saved_model(model: Ast, tmp_path: Path) -> None:
    names = dict(enumerate(CLASSES))
    saved = ASTForAudioClassification(ASTConfig(id2label=names, **SIZES))
    saved.audio_spectrogram_transformer.load_state_dict(model.net.state_dict())
    saved.classifier.layernorm.load_state_dict(model.norm.state_dict())
    saved.classifier.dense.load_state_dict(model.head.state_dict())
    saved.save_pretrained(tmp_path)
    read = factory(tmp_path / "model.safetensors", ["dog"], seconds=0.5)
    assert read.classes == CLASSES
    batch = clips(model)
    with torch.no_grad():
        assert torch.equal(read(batch), model(batch))
