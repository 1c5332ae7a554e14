"""PANNs' CNN14 from a checkpoint with the published names, against numpy."""

from pathlib import Path

import numpy as np
import pytest
import torch

from examples.panns_cnn14 import factory
from tests.examples.agreement import (
    CLASSES,
    assert_contract,
    assert_gradient,
    assert_logits,
    assert_silence_has_a_gradient,
    clips,
)
from tests.examples.references import arrays, pann, random_tensors

WIDTH = 4


def published(classes: int, width: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes in Cnn14_mAP=0.431.pth, whose width is 64."""
    state: dict[str, tuple[int, ...]] = {
        "spectrogram_extractor.stft.conv_real.weight": (513, 1, 1024),
        "spectrogram_extractor.stft.conv_imag.weight": (513, 1, 1024),
        "logmel_extractor.melW": (513, 64),
    }
    norms = {"bn0": 64}
    channels = 1
    for level in range(1, 7):
        wide = width << (level - 1)
        for half in (1, 2):
            state[f"conv_block{level}.conv{half}.weight"] = (wide, channels, 3, 3)
            norms[f"conv_block{level}.bn{half}"] = channels = wide
    for name, size in norms.items():
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{part}"] = (size,)
        state[f"{name}.num_batches_tracked"] = ()
    for name, outputs in (("fc1", channels), ("fc_audioset", classes)):
        state |= {f"{name}.weight": (outputs, channels), f"{name}.bias": (outputs,)}
    return state


def random_weights() -> dict[str, torch.Tensor]:
    state = random_tensors(published(len(CLASSES), WIDTH))
    state["bn0.running_mean"] -= 20.0  # decibels
    state["bn0.running_var"] *= 100.0
    return state


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("panns") / "cnn14.pth"
    torch.save({"iteration": 600000, "model": random_weights()}, path)
    return path


def test_it_equals_the_published_net_from_the_waveform(checkpoint: Path) -> None:
    model = factory(checkpoint, CLASSES, seconds=1.0, width=WIDTH)
    batch = clips(model)
    tensors = arrays(random_weights())
    expected = [pann(clip.double().numpy(), tensors) for clip in batch["audio"]]
    assert_contract(model, batch)
    assert_logits(model, batch, np.stack(expected))


def test_its_gradient_agrees_with_finite_differences(checkpoint: Path) -> None:
    model = factory(checkpoint, CLASSES, seconds=0.5, width=WIDTH)
    assert_silence_has_a_gradient(model, clips(model))
    assert_gradient(model, clips(model))


def test_a_list_of_labels_names_its_outputs(checkpoint: Path, tmp_path: Path) -> None:
    labels = tmp_path / "class_labels_indices.csv"
    names = ["Speech", "Male speech, man speaking", "Rain", "Dog", "Bell"]
    rows = [f'{index},/m/{index},"{name}"' for index, name in enumerate(names)]
    labels.write_text("\n".join(["index,mid,display_name", *rows]), encoding="utf-8")
    model = factory(checkpoint, ["dog"], labels=str(labels), width=WIDTH)
    assert model.classes == names


def test_the_published_names_hold_as_many_parameters_as_the_paper_says() -> None:
    trained = {
        name: shape
        for name, shape in published(527, width=64).items()
        if not name.startswith(("spectrogram", "logmel")) and "running" not in name and shape
    }
    assert sum(torch.Size(shape).numel() for shape in trained.values()) == 80_753_615
