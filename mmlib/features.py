"""From decoded sound and pictures to what the models see: log-mel in [0, 1], frames in uint8."""

from contextlib import nullcontext

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.functional import melscale_fbanks

from mmlib.params.shard import Mel
from mmlib.runtime.arrays import Bytes, Floats, Floats32, Indices, Ints16, Reals

PCM_FULL_SCALE = 32768.0
# Bands a matrix product: few enough to skip most of the zeros, enough to fill a vector register.
_BLOCK_BANDS = 16
# Filter weights below this share of the largest change no level above -80 dB by 1e-5 dB.
_NEGLIGIBLE = 1e-8
# Of one clip's frames and their spectra are at work at a time: with both a core's cache is full.
_AT_WORK_BYTES = 1 << 20
# Of the window: lags beyond this hold less than 4e-6 of a sound's power.
_LONG_LAG = 0.947
# Of the time between two frames.
_EARLIER = 1e-3


class LogMel(nn.Module):
    """Log-mel spectrogram in [0, 1] with an absolute scale, differentiable in the waveform.

    waveform (B, N) float in [-1, 1] -> (B, T, F) float32. The waveform is cut, or padded with
    silence, to `clip_samples` = frames * hop first; frame t is centred on sample t * hop. The value
    is clip((dB + floor_db) / floor_db, 0, 1), dB = 10 log10(mel power / reference), with Slaney's
    mel scale and area normalisation, Hann window, zeros beyond the edges (librosa's
    melspectrogram with pad_mode="constant").

    The reference is fixed by the settings, never by the clip, so that a budget of eps is
    eps * floor_db dB for every clip [choice]: it is the largest mel power that a full-scale sine
    on the centre of any band produces. Below 1 kHz, where all bands are equally wide, such a sine
    reads 0 dB on a band's centre and 2.3 dB less between two; above, the area normalisation lowers
    it by the ratio of the bands' widths (about 9 dB near 8 kHz with 64 bands). Only what is louder
    than any sine, such as a full-scale square wave (+2 dB), is clipped at 1.

    Gradient: exact between the two clips, zero beyond them. Where the mel power is below the floor
    the output is a constant 0 and so is its gradient, in digital silence too (there the log alone
    would give 0 * inf = NaN). An attack on the waveform therefore moves cells above the floor, and
    needs its random start to raise silent ones over it.
    """

    window: Tensor

    def __init__(self, mel: Mel) -> None:
        super().__init__()
        self.mel = mel
        self.clip_samples = mel.frames * mel.hop
        hann = torch.hann_window(mel.window, dtype=torch.float64).numpy()
        filters = _mel_filters(mel)
        reference = _full_scale_sine_power(hann, filters, mel.n_fft)
        self.n_fft, filters = _shorten(filters, mel.n_fft, mel.window)
        # The window, then the zeros up to n_fft: one pass cuts, weighs and pads the frames.
        hann = np.pad(hann, (0, self.n_fft - mel.window))
        self.register_buffer("window", torch.from_numpy(hann).float(), persistent=False)
        # How many parts a clip's frames are worked on in, on a CPU.
        self.parts = -(-4 * self.n_fft * mel.frames // _AT_WORK_BYTES)
        # A bin's power is the sum of two squares that lie side by side. In a short clip the filters
        # sum, each row there twice; in a long one it pays to sum first, which halves the products.
        filters = (filters if self.parts > 1 else filters.repeat(2, axis=0)) / reference
        self.blocks: list[tuple[str, slice]] = []
        for rows, bands in _blocks(filters):
            name = f"filters_{len(self.blocks)}"
            block = torch.from_numpy(filters[rows, bands]).float().contiguous()
            self.register_buffer(name, block, persistent=False)
            self.blocks.append((name, rows))

    def forward(self, waveform: Tensor) -> Tensor:
        if waveform.ndim != 2 or not waveform.is_floating_point():
            raise ValueError(
                f"waveform must be (B, N) float, not {tuple(waveform.shape)} {waveform.dtype}"
            )
        # Half precision holds 3 digits of power; the log needs 8 decades of it.
        device = waveform.device.type
        half = torch.is_autocast_enabled(device)
        with torch.autocast(device, enabled=False) if half else nullcontext():
            power = self._mel_power(self._fit(waveform.float()))
            silence = 10.0 ** (-self.mel.floor_db / 10.0)
            # In one place in memory: 10 log10(power) / floor_db + 1.
            levels = torch.log10(power.clamp(min=silence)).mul_(10.0)
            return levels.div_(self.mel.floor_db).add_(1.0).clamp_(0.0, 1.0)

    def _fit(self, waveform: Tensor) -> Tensor:
        """Cut to the clip, then add the zeros that the first and last frames reach into."""
        waveform = waveform[:, : self.clip_samples]
        left = self.mel.n_fft // 2 - (self.mel.n_fft - self.mel.window) // 2
        total = (self.mel.frames - 1) * self.mel.hop + self.n_fft
        return functional.pad(waveform, (left, total - left - waveform.shape[1]))

    def _mel_power(self, padded: Tensor) -> Tensor:
        frames = padded.unfold(-1, self.n_fft, self.mel.hop)
        if padded.device.type != "cpu":
            return self._power(frames)
        # A batch's spectra do not fit a core's cache, nor a long clip's; and so a clip's result on
        # a CPU does not depend on its batch.
        if self.parts == 1:
            return torch.stack([self._power(clip) for clip in frames])
        return torch.stack(
            [torch.cat([self._power(part) for part in clip.chunk(self.parts)]) for clip in frames]
        )

    def _power(self, frames: Tensor) -> Tensor:
        squares = torch.view_as_real(torch.fft.rfft(frames * self.window)).square()
        power = squares[..., 0] + squares[..., 1] if self.parts > 1 else squares.flatten(-2)
        bands = [power[..., rows] @ getattr(self, name) for name, rows in self.blocks]
        return torch.cat(bands, -1)


def _mel_filters(mel: Mel) -> Floats:
    """Slaney's triangles, (n_fft // 2 + 1, F)."""
    filters = melscale_fbanks(
        mel.n_fft // 2 + 1,
        mel.min_hz,
        mel.max_hz,
        mel.bands,
        mel.sample_rate_hz,
        norm="slaney",
        mel_scale="slaney",
    )
    return np.asarray(filters, np.float64)


def _full_scale_sine_power(window: Floats, filters: Floats, n_fft: int) -> float:
    """The largest mel power of a sine of amplitude 1 on the centre of any band."""
    centres = filters.argmax(0)
    turns = np.outer(centres, np.arange(len(window))) / n_fft
    spectra = np.fft.fft(window * np.exp(2j * np.pi * turns), n_fft)[:, : len(filters)] / 2
    return float(np.max(np.sum(np.abs(spectra) ** 2 * filters.T, axis=1)))


def _shorten(filters: Floats, n_fft: int, window: int) -> tuple[int, Floats]:
    """Find a shorter FFT that gives the same mel powers: its length, and the filters for it.

    The power spectrum of `window` samples is the cosine series of their autocorrelation, whose
    lags end below `window`. So 2 * window points of it determine the rest, and what a longer
    n_fft adds is interpolation, which the filters can do: a third of the time for the paper's 4096
    points on a window of 1024. To keep rounding small, the lags that hold nothing are faded out as
    slowly as there is room, from where Hann's window leaves next to nothing: that keeps the new
    filters local, or a loud tone's rounding leaks into far bands (at 2048 points 0.004 dB at the
    floor; with a sharp end 0.02). A power of two is the quickest by far.
    """
    power_of_two = 1 << (2 * window - 1).bit_length()
    roomy = next_fast_len(int(2.3 * window), real=True)
    shorter = power_of_two if power_of_two <= roomy else roomy
    if shorter >= n_fft or shorter % 2:
        return n_fft, filters
    first = int(_LONG_LAG * window)
    lags = np.arange(shorter - first + 1)
    fade = np.clip((lags - first) / (shorter - 2 * first), 0, 1)
    fade = 1 - fade**4 * (35 - 84 * fade + 70 * fade**2 - 20 * fade**3)
    weights = np.where(lags > 0, 2.0, 1.0) * fade
    series = np.cos(2 * np.pi / n_fft * np.outer(lags, np.arange(n_fft // 2 + 1))) @ filters
    bins = np.arange(shorter // 2 + 1)
    inverse = np.cos(2 * np.pi / shorter * np.outer(bins, lags)) @ (weights[:, None] * series)
    inverse[1:-1] *= 2
    return shorter, inverse / shorter


def _blocks(filters: Floats) -> list[tuple[slice, slice]]:
    """Groups of neighbouring bands with the rows of the filters that they need."""
    blocks = []
    for first in range(0, filters.shape[1], _BLOCK_BANDS):
        bands = slice(first, min(first + _BLOCK_BANDS, filters.shape[1]))
        size = np.abs(filters[:, bands]).max(1)
        rows = np.flatnonzero(size > _NEGLIGIBLE * size.max())
        blocks.append((slice(int(rows[0]), int(rows[-1]) + 1), bands))
    return blocks


def waveform_from_pcm(pcm: Ints16) -> Floats32:
    """Samples as (N,) float32 in [-1, 1)."""
    return pcm.astype(np.float32) / np.float32(PCM_FULL_SCALE)


def clip_frames(
    frames: Bytes,
    times: Reals,
    *,
    seconds: float,
    count: int,
    size: int,
    rate_hz: float | None = None,
) -> Bytes:
    """Pick `count` frames at even times and scale them: (count, size, size, 3) uint8.

    `frames` is (T, H, W, 3) uint8, `times` their T times in seconds from the clip's start, rising.
    The clip's `seconds` are cut into `count` equal parts, and each part gets the frame nearest to
    its middle, whatever the frame rate or gaps; a clip that ends early repeats its last frame. With
    `rate_hz` it is so many frames a second instead, around the middle of the clip. Pictures that
    are not square lose their longer side's edges; scaling is bilinear with antialiasing.
    """
    nearest = picked_frames(times, seconds=seconds, count=count, rate_hz=rate_hz)
    return _scale(_square(frames[nearest]), size)


def picked_frames(
    times: Reals, *, seconds: float, count: int, rate_hz: float | None = None
) -> Indices:
    """Which of frames at these times `clip_frames` takes, (count,)."""
    inside = max(1, int(np.searchsorted(times, seconds)))
    middles: Reals
    if rate_hz is None:
        middles = (np.arange(count) + 0.5) * seconds / count
    else:
        # Where a part begins, as frames do; a little before, so that a wanted time half-way between
        # two frames is never rounded now to one and now to the other.
        middles = seconds / 2 + (np.arange(count) - _EARLIER - count / 2) / rate_hz
    return np.asarray(np.abs(times[None, :inside] - middles[:, None]).argmin(1))


def _square(frames: Bytes) -> Bytes:
    height, width = frames.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return frames[:, top : top + side, left : left + side]


def _scale(frames: Bytes, size: int) -> Bytes:
    if frames.shape[1] == size:
        return np.ascontiguousarray(frames)
    pictures = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
    scaled = functional.interpolate(
        pictures, size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )
    return scaled.permute(0, 2, 3, 1).contiguous().numpy()
