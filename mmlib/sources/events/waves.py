"""Building blocks of sounds: noise, damped sines, bursts, and where in time they go."""

from collections.abc import Iterable

import numpy as np

from mmlib.runtime.arrays import Floats
from mmlib.sources.events.event import Event

Wave = Floats
"""Samples (N,)."""


def band_noise(
    rng: np.random.Generator, samples: int, rate_hz: int, centre_hz: float, octaves: float
) -> Wave:
    """Gaussian noise of unit RMS; its spectrum is a bell curve of this deviation in octaves."""
    length = _fast_length(samples)
    frequencies = np.fft.rfftfreq(length, 1 / rate_hz)
    distance = np.log2(np.maximum(frequencies, 1.0) / centre_hz) / octaves
    shape = np.exp(-0.5 * distance**2)
    spectrum = np.fft.rfft(rng.standard_normal(length)) * shape
    noise = np.fft.irfft(spectrum, length)[:samples]
    return np.asarray(noise / np.sqrt(np.mean(noise**2) + 1e-12))


def at(times_s: Iterable[float], samples: int, rate_hz: int, gains: Iterable[float]) -> Wave:
    """Impulses of the given gains at the given times; those outside the clip are dropped."""
    places = np.rint(np.asarray(list(times_s)) * rate_hz).astype(np.int64)
    weights = np.asarray(list(gains), np.float64)
    inside = (places >= 0) & (places < samples)
    return np.bincount(places[inside], weights[inside], samples).astype(np.float64)


def _fast_length(samples: int) -> int:
    """The next multiple of a large power of two, on which the FFT is fast."""
    step = 1 << max(int(np.log2(max(samples, 2))) - 3, 0)
    return -(-samples // step) * step


def convolve(impulses: Wave, grain: Wave) -> Wave:
    """Each impulse replaced by the grain that starts there; cut at the end of the clip."""
    length = _fast_length(impulses.size + grain.size)
    spectrum = np.fft.rfft(impulses, length) * np.fft.rfft(grain, length)
    return np.fft.irfft(spectrum, length)[: impulses.size]


def damped(
    frequencies_hz: Iterable[float],
    gains: Iterable[float],
    falls_s: Iterable[float],
    samples: int,
    rate_hz: int,
) -> Wave:
    """Sines that start together and decay to 1/e each in its time; none past Nyquist."""
    times = np.arange(samples) / rate_hz
    out = np.zeros(samples)
    for frequency, gain, fall in zip(frequencies_hz, gains, falls_s, strict=True):
        if frequency < 0.48 * rate_hz:
            out += gain * np.exp(-times / fall) * np.sin(2 * np.pi * frequency * times)
    return out


def harmonics(turns: Wave, gains: Iterable[float]) -> Wave:
    """A tone of harmonics of these gains from the fundamental up; `turns` is its phase in turns."""
    return np.asarray(sum(g * np.sin(2 * np.pi * k * turns) for k, g in enumerate(gains, start=1)))


def burst(
    rng: np.random.Generator,
    rate_hz: int,
    centre_hz: float,
    octaves: float,
    *,
    rise_s: float,
    fall_s: float,
) -> Wave:
    """A burst of band noise that rises and decays exponentially."""
    samples = int(6 * fall_s * rate_hz) + int(rise_s * rate_hz)
    times = np.arange(samples) / rate_hz
    envelope = (1 - np.exp(-times / rise_s)) * np.exp(-times / fall_s)
    return np.asarray(band_noise(rng, samples, rate_hz, centre_hz, octaves) * envelope)


def span(event: Event, times_s: Wave, ramp_s: float) -> Wave:
    """1 during the event, with ramps of this length inside its ends."""
    inside = np.minimum(times_s - event.onset_s, event.end_s - times_s)
    return np.asarray(np.clip(inside / ramp_s, 0, 1))
