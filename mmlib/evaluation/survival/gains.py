"""How much of a perturbation a codec lets through, band by band: a gradient better than one.

A codec keeps coarse changes and drops fine ones. Passed straight through, a gradient asks for both
alike, and most of a budget is spent on what never arrives. Here what arrived of the present
perturbation is compared with what was sent, in bands of frequency, and the gradient is weighed by
that: a secant, measured anew with each encoding, that needs no model of the codec.
"""

from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

LEAST = 0.02
"""Gain of a band that lets nothing through: what was never tried may yet be. [choice]"""
_SOUND_BANDS = 64
_PICTURE_BANDS = 8
# Rows: the grey axis, and two across it, orthonormal.
_COLOURS = ((1, 1, 1), (1, -1, 0), (1, 1, -2))


class Bands(Protocol):
    """A split of clips into bands of frequency."""

    def analysed(self, x: Tensor) -> Tensor:
        """Coefficients (B, ...) of clips."""
        ...

    def composed(self, coefficients: Tensor, like: Tensor) -> Tensor:
        """The clips that have these coefficients."""
        ...

    def index(self, coefficients: Tensor) -> Tensor:
        """The band of each coefficient of a clip."""
        ...


class SoundBands:
    """Sound (B, N): 64 bands of equal width."""

    def analysed(self, x: Tensor) -> Tensor:
        """The Fourier transform of the whole clip, (B, N / 2 + 1)."""
        found: Tensor = torch.fft.rfft(x)
        return found

    def composed(self, coefficients: Tensor, like: Tensor) -> Tensor:
        """Back to (B, N)."""
        found: Tensor = torch.fft.irfft(coefficients, n=like.shape[-1])
        return found

    def index(self, coefficients: Tensor) -> Tensor:
        """(N / 2 + 1,)."""
        bins = coefficients.shape[-1]
        return torch.arange(bins, device=coefficients.device) * _SOUND_BANDS // bins


class PictureBands:
    """Pictures (B, 3, T, H, W): grey or colour, still or moving, and 8 bands of fineness."""

    def analysed(self, x: Tensor) -> Tensor:
        """Grey and two colours, each transformed over time and both axes."""
        planes = torch.einsum("kc,bcthw->bkthw", _colours(x), x)
        found: Tensor = torch.fft.fftn(planes, dim=(-3, -2, -1))
        return found

    def composed(self, coefficients: Tensor, like: Tensor) -> Tensor:
        """Back to (B, 3, T, H, W)."""
        planes = torch.fft.ifftn(coefficients, dim=(-3, -2, -1)).real
        return torch.einsum("kc,bkthw->bcthw", _colours(like), planes)

    def index(self, coefficients: Tensor) -> Tensor:
        """(3, T, H, W)."""
        return _picture_index(tuple(coefficients.shape[1:])).to(coefficients.device)


BANDS: dict[str, Bands] = {"audio": SoundBands(), "video": PictureBands()}


def measured(bands: Bands, sent: Tensor, arrived: Tensor) -> Tensor:
    """The gain of each coefficient (B, ...), one of its band and clip, from `LEAST` to 1.

    `sent` and `arrived`: a perturbation (B, ...) before and after the codec. 1 where nothing was
    sent: straight through.
    """
    given, got = bands.analysed(sent), bands.analysed(arrived)
    index = bands.index(given).flatten()
    shape = (len(given), int(index.max()) + 1)
    places = index.expand(len(given), -1)
    common = (given.conj() * got).real.flatten(1)
    power = given.abs().square().flatten(1)
    over = torch.zeros(shape, device=sent.device).scatter_add(1, places, common)
    under = torch.zeros(shape, device=sent.device).scatter_add(1, places, power)
    gains = torch.where(under > 0, over / under.clamp_min(1e-30), 1.0).clamp(LEAST, 1.0)
    return gains.gather(1, places).view_as(given.real)


def weighed(bands: Bands, x: Tensor, gains: Tensor) -> Tensor:
    """Clips with each coefficient times its gain."""
    return bands.composed(bands.analysed(x) * gains, x)


def _colours(like: Tensor) -> Tensor:
    rows = torch.tensor(_COLOURS, dtype=like.dtype, device=like.device)
    found: Tensor = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return found


@lru_cache(maxsize=4)
def _picture_index(shape: tuple[int, ...]) -> Tensor:
    planes, times, height, width = shape
    down = torch.fft.fftfreq(height).abs()[:, None]
    across = torch.fft.fftfreq(width).abs()[None]
    # 0.5 is the finest in either direction.
    fine = torch.maximum(down, across) * 2 * (_PICTURE_BANDS - 1)
    coloured = (torch.arange(planes) > 0).long()[:, None, None, None]
    moving = (torch.arange(times) > 0).long()[None, :, None, None]
    return (coloured * 2 + moving) * _PICTURE_BANDS + fine.ceil().long()
