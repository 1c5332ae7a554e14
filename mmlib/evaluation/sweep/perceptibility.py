"""How much of a perturbation could be noticed: one number per clip, (B,) float64.

Clean and perturbed tensors are (B, ...) of the same shape; `delta` is their `change`. A clip that
did not change has infinite PSNR and SNR.
"""

import torch
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G, B in luma (ITU-R BT.601), on which SSIM is measured."""


def change(clean: Tensor, perturbed: Tensor) -> Tensor:
    """The perturbation, (B, N) float64, exact: what the measures below are taken of."""
    return (perturbed.double() - clean.double()).flatten(1)


def norm(delta: Tensor, order: float) -> Tensor:
    """The l_order norm of the change over all elements of a clip; infinity: max |delta|."""
    size: Tensor = torch.linalg.vector_norm(delta, order, dim=1)
    return size


def mean_change(delta: Tensor) -> Tensor:
    """mean |delta|, in units of full scale."""
    return delta.abs().mean(1)


def snr(clean: Tensor, delta: Tensor) -> Tensor:
    """Signal-to-noise ratio in dB: 10 log10 (sum x² / sum delta²), in the tensor's own domain.

    Of a waveform that is the usual SNR; of log-mel features it compares levels above the floor.
    """
    signal = clean.flatten(1).square().sum(1, dtype=torch.float64)
    return 10 * torch.log10(signal / delta.square().sum(1))


def psnr(delta: Tensor, peak: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio in dB: 10 log10 (peak² / mean delta²) over all frames."""
    return 10 * torch.log10(peak**2 / delta.square().mean(1))


def ssim(clean: Tensor, perturbed: Tensor) -> Tensor:
    """Structural similarity of video (B, 3, T, H, W) in [0, 1]: the mean over frames, on luma.

    Wang et al. 2004: Gaussian window of sigma 1.5 and 11 pixels (the largest odd number that fits a
    smaller picture), valid positions only, K1 = 0.01, K2 = 0.03. 1 for equal clips.
    """
    first, second = _luma(clean), _luma(perturbed)  # B, T, H, W
    rows, columns = _window(first.shape[2], first), _window(first.shape[3], first)

    def smooth(picture: Tensor) -> Tensor:
        # Two products with banded matrices: faster than a depthwise convolution on a CPU.
        return rows @ picture @ columns.T

    mean_a, mean_b = smooth(first), smooth(second)
    variance_a = smooth(first * first) - mean_a * mean_a
    variance_b = smooth(second * second) - mean_b * mean_b
    covariance = smooth(first * second) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a * mean_a + mean_b * mean_b + c1)
    return (structure * luminance).flatten(1).mean(1).double()


def _luma(video: Tensor) -> Tensor:
    red, green, blue = video.unbind(1)
    return _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue


def _window(length: int, like: Tensor, sigma: float = 1.5) -> Tensor:
    """The matrix (length - width + 1, length) that smooths one axis by a Gaussian window."""
    width = min(11, length - (length + 1) % 2)
    rows = torch.arange(length - width + 1, device=like.device)[:, None]
    offset = torch.arange(length, device=like.device) - rows - width // 2
    weights = torch.exp(-offset.to(like.dtype).square() / (2 * sigma**2))
    weights = weights * (offset.abs() <= width // 2)
    return weights / weights.sum(1, keepdim=True)
