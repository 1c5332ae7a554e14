"""Published weights as starts of the pipeline's own encoders: their names, and how they fit.

R(2+1)D-18 as torchvision publishes it, CNN14 as PANNs does. Their heads, and PANNs' front end with
its batch norm over bands, are left out.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mmlib.models.base import Encoder
from mmlib.models.cnn14 import Cnn14
from mmlib.models.r2plus1d import R2plus1d
from mmlib.runtime.errors import UserError

_WRAPPINGS = ("model", "state_dict")
_STEM = {"0": "stem.space", "1": "stem.norm", "3": "stem.time", "4": "stem_norm"}
_BLOCK = re.compile(r"layer(\d+)\.(\d+)\.(.*)")
_PARTS = {
    **{f"conv{n}.0.{at}": f"{which}.{part}" for n, which in ((1, "first"), (2, "second"))
       for at, part in ((0, "space"), (1, "norm"), (3, "time"))},
    "conv1.1": "first_norm", "conv2.1": "second_norm",
    "downsample.0": "shortcut.0", "downsample.1": "shortcut.1",
}  # fmt: skip
_CONV_BLOCK = re.compile(r"conv_block(\d+)\.(conv1|bn1|conv2|bn2)\.(.*)")
_PLACES = {"conv1": 0, "bn1": 1, "conv2": 3, "bn2": 4}
_NOT_OURS = ("fc.", "fc_audioset.", "bn0.", "spectrogram_extractor.", "logmel_extractor.")
_SIZES = {
    R2plus1d: "torchvision's R(2+1)D-18 has model.r2plus1d.width 64 and blocks 2, 2, 2, 2",
    Cnn14: "PANNs' CNN14 has model.cnn14.width 64",
}


def start(encoder: Encoder, file: Path) -> None:
    """Copy published weights into an encoder.

    UserError, with the first difference, for a file that does not hold weights of that net and
    size.
    """
    found = _renamed(encoder, _read(file))
    mine, kind = encoder.state_dict(), type(encoder).__name__
    hint = _SIZES.get(type(encoder), "there are published weights for r2plus1d and cnn14 alone")
    for name, tensor in mine.items():
        if name not in found:
            raise UserError(f"{file}: holds no {name}, which {kind} has; {hint}")
        if found[name].numel() != tensor.numel():
            shapes = f"{tuple(found[name].shape)}, not {tuple(tensor.shape)}"
            raise UserError(f"{file}: its {name} is {shapes}; {hint}")
    if more := sorted(set(found) - set(mine)):
        raise UserError(f"{file}: holds {more[0]}, which {kind} lacks; {hint}")
    # A (1, k, k) or (k, 1, 1) convolution is a 2-D one of the same numbers.
    encoder.load_state_dict({n: found[n].reshape(t.shape).to(t.dtype) for n, t in mine.items()})


def _read(file: Path) -> Mapping[str, Tensor]:
    """The tensors of a file by name, without what some wrap them in."""
    try:
        if file.suffix == ".safetensors":
            held: Any = load_file(file)
        else:
            held = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file") from None
    except (SafetensorError, OSError, EOFError, RuntimeError, ValueError) as error:
        raise UserError(f"{file}: no weights that can be read: {_line(error)}") from None
    except Exception as error:  # whatever a pickle that is none may raise
        raise UserError(
            f"{file}: holds more than tensors, and is not run: save its state_dict alone "
            f"({_line(error)})"
        ) from None
    for name in _WRAPPINGS:
        if isinstance(held, Mapping) and isinstance(held.get(name), Mapping):
            held = held[name]
    if not isinstance(held, Mapping) or not all(isinstance(t, Tensor) for t in held.values()):
        raise UserError(f"{file}: holds no state_dict: save one, net.state_dict()")
    return {name.removeprefix("module."): tensor for name, tensor in held.items()}


def _renamed(encoder: nn.Module, held: Mapping[str, Tensor]) -> dict[str, Tensor]:
    held = {name: tensor for name, tensor in held.items() if not name.startswith(_NOT_OURS)}
    renamed = _of_r2plus1d if isinstance(encoder, R2plus1d) else _of_cnn14
    return {renamed(name, held): tensor for name, tensor in held.items()}


def _of_r2plus1d(name: str, held: Iterable[str]) -> str:
    """torchvision's name of a tensor as ours, or as it is where it is no name of that net."""
    module, _, tensor = name.rpartition(".")
    if (stem := module.removeprefix("stem.")) in _STEM:
        return f"{_STEM[stem]}.{tensor}"
    matches = [found for other in held if (found := _BLOCK.match(other))]
    blocks = sorted({(int(found[1]), int(found[2])) for found in matches})
    if found := _BLOCK.match(module):
        layer, index, part = found.groups()
        return f"layers.{blocks.index((int(layer), int(index)))}.{_PARTS.get(part, part)}.{tensor}"
    return name


def _of_cnn14(name: str, _: Iterable[str]) -> str:
    """PANNs' name of a tensor as ours."""
    if found := _CONV_BLOCK.match(name):
        block, part, tensor = found.groups()
        return f"blocks.{int(block) - 1}.{_PLACES[part]}.{tensor}"
    return name.replace("fc1.", "dense.")


def _line(error: Exception) -> str:
    first = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {first[0][:160]}"
