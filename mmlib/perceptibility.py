"""How much of a perturbation could be noticed: one number a clip, (B,) float64.

Clean and perturbed tensors are (B, ...) of the same shape. A clip that did not change has infinite
PSNR and SNR.
"""

import torch
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G, B in luma (ITU-R BT.601), on which SSIM is measured."""


def norm(clean: Tensor, perturbed: Tensor, order: float) -> Tensor:
    """The l_order norm of the change over all elements of a clip."""
    change = (perturbed.double() - clean.double()).flatten(1)
    size: Tensor = torch.linalg.vector_norm(change, order, dim=1)
    return size


def largest_change(clean: Tensor, perturbed: Tensor) -> Tensor:
    """max |delta|, in units of full scale."""
    return norm(clean, perturbed, torch.inf)


def mean_change(clean: Tensor, perturbed: Tensor) -> Tensor:
    """mean |delta|, in units of full scale."""
    return (perturbed.double() - clean.double()).abs().flatten(1).mean(1)


def snr(clean: Tensor, perturbed: Tensor) -> Tensor:
    """Signal-to-noise ratio in dB: 10 log10 (sum x² / sum delta²), in the tensor's own domain.

    Of a waveform that is the usual SNR; of log-mel features it compares levels above the floor.
    """
    signal = clean.double().square().flatten(1).sum(1)
    noise = (perturbed.double() - clean.double()).square().flatten(1).sum(1)
    return 10 * torch.log10(signal / noise)


def psnr(clean: Tensor, perturbed: Tensor, peak: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio in dB: 10 log10 (peak² / mean delta²) over all frames."""
    error = (perturbed.double() - clean.double()).square().flatten(1).mean(1)
    return 10 * torch.log10(peak**2 / error)


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
    offset = torch.arange(width, dtype=like.dtype, device=like.device) - width // 2
    weights = torch.exp(-offset.square() / (2 * sigma**2))
    matrix = torch.zeros(length - width + 1, length, dtype=like.dtype, device=like.device)
    for row in range(length - width + 1):
        matrix[row, row : row + width] = weights / weights.sum()
    return matrix
