"""A model as attacks want it: fixed, folded, and not computing twice what did not change."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from mmlib.batch import Batch
from mmlib.models.base import Model


class Frozen:
    """Calls a copy of the model in eval mode, without gradients for its parameters.

    Batch (modality tensors (B, ...)) in, logits (B, K) out, equal to the model's but for rounding:
    each batch norm is folded into the convolution before it. The encoding of a tensor that needs no
    gradient is kept until another tensor takes its place, so an attack on one modality goes through
    the other's encoder once a batch.
    """

    def __init__(self, model: Model) -> None:
        self.model = fold(model)
        self._kept: dict[str, tuple[Tensor, int, Tensor | None, Tensor]] = {}

    def __call__(self, batch: Batch) -> Tensor:
        """Return logits (B, K)."""
        return self.model.classify({name: self._encode(name, batch) for name in self.modalities})

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that the model reads."""
        return self.model.modalities

    def _encode(self, modality: str, batch: Batch) -> Tensor:
        x, mask = batch[modality], batch.get(f"{modality}_present")
        if x.requires_grad:
            return self.model.encode_one(modality, batch)
        kept = self._kept.get(modality)
        # In-place changes count up a tensor's version; inference tensors keep none.
        version = -1 if x.is_inference() else x._version
        if kept is None or kept[0] is not x or kept[1] != version or kept[2] is not mask:
            with torch.no_grad():
                kept = x, version, mask, self.model.encode_one(modality, batch)
            self._kept[modality] = kept
        return kept[3]


def fold(model: Model) -> Model:
    """Copy the model, in eval mode and frozen, each batch norm folded into its convolution.

    Every encoder registers a batch norm right after the convolution that feeds it; a test holds
    that by the result.
    """
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    convolution: nn.Conv2d | None = None
    for name, module in list(folded.named_modules()):
        if isinstance(module, nn.Conv2d):
            convolution = module
        elif isinstance(module, nn.BatchNorm2d) and convolution is not None:
            _absorb(convolution, module)
            parent, _, child = name.rpartition(".")
            setattr(folded.get_submodule(parent), child, nn.Identity())
            convolution = None
    return folded


def _absorb(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise TypeError("a batch norm without running statistics cannot be folded")
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, mean, variance, norm.eps, norm.weight, norm.bias
    )
    convolution.requires_grad_(False)
