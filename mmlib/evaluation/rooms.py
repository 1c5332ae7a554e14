"""A random room: what becomes of a sound between a loudspeaker and a microphone.

One model for all that is played in rooms; who draws them says how long they sound and how far away
the loudspeaker is.
"""

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor

from mmlib.runtime.arrays import Floats


def response(
    rng: np.random.Generator,
    rate_hz: int,
    samples: int,
    rt60_s: float,
    direct_db: float,
    gap_s: float,
) -> Floats:
    """An impulse response (samples,): the direct sound is 1 at sample 0.

    After `gap_s` comes noise, drawn from `rng`, that falls by 60 dB in `rt60_s` seconds, where it
    ends (Polack's model of a diffuse field). The direct sound has `direct_db` more energy than all
    of it, however few samples are left of it.
    """
    times = np.arange(samples) / rate_hz
    tail = rng.standard_normal(samples) * 10 ** (-3 * times / rt60_s)
    tail[(times < gap_s) | (times > rt60_s)] = 0
    energy = np.sum(tail**2)
    if energy > 0:
        tail *= np.sqrt(10 ** (-direct_db / 10) / energy)
    tail[0] = 1.0
    return np.asarray(tail)


def heard(sound: Tensor, responses: Tensor) -> Tensor:
    """Sounds (..., N) behind responses (..., M), whose leading axes broadcast; cut at the end."""
    samples = sound.shape[-1]
    size = next_fast_len(samples + responses.shape[-1] - 1, real=True)
    spectra = torch.fft.rfft(sound, size) * torch.fft.rfft(responses, size)
    found: Tensor = torch.fft.irfft(spectra, size)[..., :samples]
    return found
