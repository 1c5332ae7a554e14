"""Making a trained model cheap to attack: batch norm folded, weights frozen, branches cached.

The copy gives the model's own logits and gradients to rounding, so an attack on it is one on the
model. It is made for one purpose: many gradients with respect to the input, none of the weights.
"""

import sys
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mmlib.batch import Batch, Forward
from mmlib.evaluation.attacked.first_layer import (
    FirstLayer,
    is_first,
)
from mmlib.models import devices
from mmlib.models.base import Model
from mmlib.models.layers import Normalise

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_AGREEMENT = 1e-4
"""Largest difference of logits, over their largest size, that folding may cause in float32."""
_ALIKE = 1e-3
"""The same of gradients."""


def frozen(model: Model, example: Batch) -> Model:
    """A copy in eval mode whose parameters take no gradient, batch norms folded where possible.

    Folding finds the pairs by watching one forward pass over the first clip of `example`, so it
    need not know how the model is written; the copy is checked against the original, and left
    unfolded if their logits differ by more than rounding. The clip counts as complete even where
    it lacks a modality, so that every encoder runs.

    A foreign model is not copied but where it can be folded: see `_folded_if_alike`.
    """
    example = {
        name: tensor[:1] for name, tensor in example.items() if not name.endswith("_present")
    }
    if model.foreign:
        return _folded_if_alike(model.eval().requires_grad_(False), example)
    original = deepcopy(model).eval()
    original.requires_grad_(False)
    folded = deepcopy(original)
    with torch.no_grad():
        expected = _fold(folded, example)
        _specialise_inputs(folded, example)
        found = folded(example)
    scale = expected.abs().max().clamp_min(1e-6)
    agrees = bool(((found - expected).abs().max() <= _AGREEMENT * scale).all())
    return compiled(folded if agrees else original, example)


def _folded_if_alike(model: Model, example: Batch) -> Model:
    """A folded copy of a net that users wrote, or the net itself.

    Such a net may reach into its own layers, hold what cannot be copied, or be hooked to tensors of
    its own, which a copy would read as they were. So the copy must give the logits of clips and
    noise, and the gradients, as the net does.
    """
    generator = torch.Generator().manual_seed(0)
    noise = {
        name: torch.rand(tensor.shape, generator=generator).to(tensor)
        for name, tensor in example.items()
    }
    try:
        folded = deepcopy(model)
        with torch.no_grad():
            _fold(folded, example)
            _specialise_inputs(folded, example)
        alike = all(_alike(folded, model, batch) for batch in (noise, example))
    except Exception:
        return model
    return folded if alike else model


def _alike(model: Model, other: Model, batch: Batch) -> bool:
    """Whether two models give the same logits and the same gradients of a batch, to rounding."""
    found = []
    for net in (model, other):
        leaves = {name: tensor.detach().clone().requires_grad_() for name, tensor in batch.items()}
        with torch.enable_grad():
            logits = net(leaves)
            weights = torch.linspace(-1, 1, logits.shape[1]).to(logits)
            gradients = torch.autograd.grad((logits * weights).sum(), list(leaves.values()))
        found.append((logits.detach(), *gradients))
    return all(
        bool((a - b).abs().max() <= bound * b.abs().max())
        for a, b, bound in zip(*found, (_AGREEMENT, *[_ALIKE] * len(batch)), strict=True)
    )


def _fold(model: nn.Module, example: Batch) -> Tensor:
    """Fold every batch norm that can be; return the logits before."""
    outputs: list[tuple[nn.Module, Tensor, int]] = []
    sources: dict[nn.Module, list[nn.Module | None]] = {}

    def after_convolution(module: nn.Module, _: Any, output: Tensor) -> None:
        outputs.append((module, output, output._version))

    def before_norm(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sources.setdefault(norm, []).append(_source(inputs[0], outputs))

    hooks = [
        module.register_forward_hook(after_convolution)
        if isinstance(module, _CONVOLUTIONS)
        else module.register_forward_pre_hook(before_norm)
        for module in model.modules()
        if isinstance(module, _CONVOLUTIONS + _NORMS)
    ]
    logits: Tensor = model(example)
    for hook in hooks:
        hook.remove()
    calls = [module for module, _, _ in outputs]
    for norm, found in sources.items():
        convolution = found[0]
        if len(found) == 1 and convolution is not None and calls.count(convolution) == 1:
            fused = fuse_conv_bn_eval(convolution, norm)  # type: ignore[type-var, arg-type]
            _replace(model, convolution, fused)
            _replace(model, norm, nn.Identity())
    return logits


def _specialise_inputs(model: nn.Module, example: Batch) -> None:
    """Make the first layers cheap: see `FirstLayer`; normalise by constants of a clip's size.

    A mean of 3 channels against pixels laid out channels last is a loop over 3 numbers; the same
    numbers spread over a clip are one long loop, four times as fast.
    """
    for layer in [module for module in model.modules() if is_first(module)]:
        assert isinstance(layer, nn.Conv2d)
        _replace(model, layer, FirstLayer(layer))
    for name, layer in getattr(model, "normalise", {}).items():
        if isinstance(layer, Normalise) and name in example:
            for constant in ("mean", "scale"):
                spread = torch.empty_like(example[name][0])
                setattr(layer, constant, spread.copy_(getattr(layer, constant)))


def _source(value: Tensor, outputs: list[tuple[nn.Module, Tensor, int]]) -> nn.Module | None:
    """The convolution whose output, or a view of it that nothing has written to, this is."""
    for module, output, version in outputs:
        same = value.untyped_storage().data_ptr() == output.untyped_storage().data_ptr()
        if same and value._version == version and value.numel() == output.numel():
            return module
    return None


def _replace(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for parent in model.modules():
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)


def cached(
    model: Model,
    batch: Batch,
    embeddings: Mapping[str, Tensor] | None,
    attacked: Collection[str],
) -> tuple[Batch, Forward]:
    """The batch and a forward pass on it that encodes only the attacked modalities.

    As `cached_encoders`, with what the encoders make of the batch classified.
    """
    carried, encode = cached_encoders(model, batch, embeddings, attacked)
    return carried, lambda inputs: model.classify(encode(inputs))


def cached_encoders(
    model: Model,
    batch: Batch,
    embeddings: Mapping[str, Tensor] | None,
    attacked: Collection[str],
) -> tuple[Batch, Callable[[Batch], dict[str, Tensor]]]:
    """The batch, and the model's `encode_all` of it that encodes only the attacked modalities.

    `embeddings` are the model's `encode_all` of the clean batch (None: what is needed of it is
    encoded here, without gradients); those of the other modalities travel in the returned batch as
    `<modality>_embedding`, one row per clip, so that an attack may cut or repeat clips as it likes.
    Clips that lack an attacked modality keep the embedding that stands for it.
    """
    kept = [n for n in model.modalities if n not in attacked or _some_missing(batch, n)]
    if embeddings is None:
        with torch.no_grad():
            embeddings = {name: model.encode_one(name, batch) for name in kept}
    carried = {f"{name}_embedding": embeddings[name] for name in kept}

    def encode_all(inputs: Batch) -> dict[str, Tensor]:
        return {name: encode(name, inputs) for name in model.modalities}

    def encode(name: str, inputs: Batch) -> Tensor:
        if name not in attacked:
            return inputs[f"{name}_embedding"]
        if f"{name}_embedding" not in inputs:
            return model.encode(name, inputs[name])
        mask, known = inputs[f"{name}_present"], inputs[f"{name}_embedding"]
        if not bool(mask.any()):
            return known
        encoded = model.encode(name, inputs[name][mask])
        return known.index_put((mask,), encoded.to(known.dtype))

    return {**batch, **carried}, encode_all


def _some_missing(batch: Batch, name: str) -> bool:
    mask = batch.get(f"{name}_present")
    return mask is not None and not bool(mask.all())


def rough(forward: Forward, device: torch.device) -> Forward | None:
    """`forward` in the precision of the search (`devices.search_precision`); None for float32."""
    precision = devices.search_precision(device)
    if precision == torch.float32:
        return None

    def lowered(inputs: Batch) -> Tensor:
        with torch.autocast(device.type, dtype=precision):
            logits = forward(inputs)
        return logits.float()

    return lowered


def compiled(model: Model, example: Batch) -> Model:
    """A copy whose encoders are compiled, where `devices.compiles` says so; else the model itself.

    One gradient is taken at once: when the compiler fails, a line says so and nothing is compiled.
    """
    if not devices.compiles(next(model.parameters()).device):
        return model
    copy = deepcopy(model)
    try:
        for encoder in copy.encoders.values():
            encoder.compile()
        leaves = {name: example[name].detach().requires_grad_() for name in copy.modalities}
        torch.autograd.grad(copy({**example, **leaves}).sum(), list(leaves.values()))
    except Exception as error:  # whatever a compiler may raise
        reason = str(error).strip().split("\n")[0][:200]
        print(f"not compiled, {type(error).__name__}: {reason}", file=sys.stderr)
        return model
    return copy
