"""Adversarial clips as stored: video in 256 levels, log-mel in float16, waveforms in int16."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mmlib.attacks.core.region import Region
from mmlib.batch import is_waveform

_LEVELS = 255
_PCM = 32768


def quantise(regions: Mapping[str, Region], points: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Round points of the regions, modality -> (B, ...), to what storage can hold within them.

    Each element takes the nearest stored value, or the next one towards the clean value where the
    nearest would leave the budget. The clean values must be as read from storage. Below
    1/255 no grey level fits an linf budget, and the video is clean again: storage undoes such an
    attack.
    """
    return {name: _rounding(name, region)(region, points[name]) for name, region in regions.items()}


def _rounding(name: str, region: Region) -> Callable[[Region, Tensor], Tensor]:
    if name == "video":
        return _grey_levels
    return _pcm if is_waveform(region.clean) else _half_floats


def _grey_levels(region: Region, point: Tensor) -> Tensor:
    clean, level = (region.clean * _LEVELS).round(), (point * _LEVELS).round()
    inner = level - (level - clean).sign()
    if region.norm == "linf":
        # In whole levels: k / 255 is no float32 number, so that 8 levels may seem above 8 / 255.
        outside = (level - clean).abs() > region.column(region.eps * _LEVELS + 1e-4)
    else:
        outside = _lengthened(region, level / _LEVELS, point)
    return torch.where(outside, inner, level) / _LEVELS


def _pcm(region: Region, point: Tensor) -> Tensor:
    level = (point * _PCM).round().clamp(-_PCM, _PCM - 1)
    inner = level + (region.clean * _PCM - level).sign()
    # Multiples of 1 / 32768 are exact in float32.
    nearest = level / _PCM
    if region.norm == "linf":
        outside = (nearest < region.lower) | (nearest > region.upper)
    else:
        outside = _lengthened(region, nearest, point)
    return torch.where(outside, inner / _PCM, nearest)


def _half_floats(region: Region, point: Tensor) -> Tensor:
    half = point.half()
    # The bits of floats that are not negative are ordered as the floats are.
    towards = (region.clean - half.float()).sign().to(torch.int16)
    inner = (half.view(torch.int16) + towards).view(torch.float16)
    nearest = half.float()
    if region.norm == "linf":
        outside = (nearest < region.lower) | (nearest > region.upper)
    else:
        outside = _lengthened(region, nearest, point)
    return torch.where(outside, inner.float(), nearest)


def _lengthened(region: Region, rounded: Tensor, point: Tensor) -> Tensor:
    """The elements that rounding took further from clean, in clips whose norm is too large."""
    away = (rounded - region.clean).abs() > (point - region.clean).abs()
    return away & region.column(region.size(rounded) > region.eps)
