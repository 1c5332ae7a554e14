"""Kaldi's filter bank for a batch: what AST, CAV-MAE and many speech nets read."""

import torch
from torch import Tensor
from torch.nn import functional
from torchaudio.compliance import kaldi


def filter_bank(
    waveform: Tensor, *, rate_hz: int = 16000, bands: int = 128, frames: int | None = None
) -> Tensor:
    """Return the log energies of `bands` mel bands, every 10 ms over 25 ms: (B, T, bands).

    `waveform` is (B, N), differentiable. With `frames`, T is cut to it or padded with zeros, as
    AST and CAV-MAE do before they normalise. torchaudio's own function reads a batch as channels
    and silently computes the first alone, hence `vmap`. Window `hanning`, no dither, the rest as
    Kaldi has it; samples in [-1, 1] are not scaled to 16 bits (those two nets do not either).
    """

    def one(clip: Tensor) -> Tensor:
        energies: Tensor = kaldi.fbank(
            clip[None],
            sample_frequency=rate_hz,
            num_mel_bins=bands,
            window_type="hanning",
            dither=0.0,
        )
        return energies

    energies = torch.func.vmap(one)(waveform.contiguous())
    if frames is None:
        return energies
    return functional.pad(energies, (0, 0, 0, frames - energies.shape[1]))
