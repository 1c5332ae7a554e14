"""Perceptibility: values that can be worked out by hand, and SSIM against a plain convolution."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from mmlib.evaluation.sweep import perceptibility


def clip(seed: int = 0, size: int = 20) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 3, 4, size, size, generator=generator)


def test_constant_change() -> None:
    clean = torch.full((2, 5, 4), 0.5)
    perturbed = clean.clone()
    perturbed[1] += 0.05
    delta = perceptibility.change(clean, perturbed)
    assert perceptibility.psnr(delta)[1].item() == pytest.approx(26.0206, abs=1e-3)
    assert perceptibility.snr(clean, delta)[1].item() == pytest.approx(20, abs=1e-3)
    assert perceptibility.norm(delta, torch.inf).tolist() == pytest.approx([0, 0.05])
    assert perceptibility.mean_change(delta).tolist() == pytest.approx([0, 0.05])
    assert perceptibility.norm(delta, 2)[1].item() == pytest.approx(0.05 * 20**0.5)
    assert perceptibility.psnr(delta)[0] == torch.inf
    assert perceptibility.snr(clean, delta)[0] == torch.inf


def test_ssim_of_equal_and_of_inverted_clips() -> None:
    video = clip()
    torch.testing.assert_close(
        perceptibility.ssim(video, video), torch.ones(2, dtype=torch.float64), atol=1e-5, rtol=0
    )
    assert bool((perceptibility.ssim(video, 1 - video) < 0).all())


def test_ssim_falls_as_noise_grows() -> None:
    video, noise = clip(), clip(1) - 0.5
    values = [
        perceptibility.ssim(video, (video + level * noise).clamp(0, 1))[0].item()
        for level in (0.0, 0.05, 0.1, 0.3)
    ]
    assert values == sorted(values, reverse=True)


def test_ssim_against_a_plain_two_dimensional_window() -> None:
    clean, other = clip(), (clip() + 0.2 * clip(3)).clamp(0, 1)
    grid = np.arange(11) - 5.0
    window = np.exp(-(grid[:, None] ** 2 + grid[None, :] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    luma = np.array([0.299, 0.587, 0.114])

    def smooth(picture: np.ndarray) -> np.ndarray:
        return np.asarray(correlate(picture, window))[5:-5, 5:-5]

    frames = []
    for frame in range(4):
        a, b = (
            np.tensordot(luma, tensor[0, :, frame].double().numpy(), axes=1)
            for tensor in (clean, other)
        )
        ma, mb = smooth(a), smooth(b)
        va, vb, cov = smooth(a * a) - ma**2, smooth(b * b) - mb**2, smooth(a * b) - ma * mb
        c1, c2 = 0.0001, 0.0009
        frames.append(
            np.mean((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
        )
    found = perceptibility.ssim(clean, other)[0].item()
    assert found == pytest.approx(np.mean(frames), abs=1e-5)


@pytest.mark.parametrize("size", [6, 8, 11])
def test_ssim_of_pictures_smaller_than_the_window(size: int) -> None:
    video = clip(size=size)
    assert bool(torch.isfinite(perceptibility.ssim(video, video * 0.9)).all())
