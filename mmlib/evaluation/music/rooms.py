"""Random rooms: what becomes of a sound between a loudspeaker and a microphone."""

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor

from mmlib.params.music import Rooms
from mmlib.runtime.arrays import Floats
from mmlib.runtime.seeds import derive

GAP_S = (0.002, 0.012)
"""When the first reflection comes after the direct sound: 0.7 to 4 m of detour. [choice]"""


def responses(settings: Rooms, rate_hz: int, count: int, *use: int | str) -> Tensor:
    """Impulse responses of `count` rooms, (count, M), that follow from `use`, a seed with names.

    The direct sound is 1 at sample 0. After a gap comes noise that falls by 60 dB in RT60 seconds
    (Polack's model of a diffuse field), as loud as the ratio of direct to reverberant energy says;
    RT60, ratio and gap are drawn uniformly.
    """
    length = 1 + int(np.ceil(settings.rt60_s[1] * rate_hz))
    drawn = [_response(settings, rate_hz, length, derive(*use, place)) for place in range(count)]
    return torch.from_numpy(np.stack(drawn)).float()


def _response(settings: Rooms, rate_hz: int, length: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    rt60, ratio_db, gap = (
        rng.uniform(*reach) for reach in (settings.rt60_s, settings.direct_db, GAP_S)
    )
    times = np.arange(length) / rate_hz
    tail = rng.standard_normal(length) * 10 ** (-3 * times / rt60)
    tail[(times < gap) | (times > rt60)] = 0
    tail *= np.sqrt(10 ** (-ratio_db / 10) / np.sum(tail**2))
    tail[0] = 1.0
    return np.asarray(tail)


def heard_in(sound: Tensor, rooms: Tensor) -> Tensor:
    """Sounds (G, N) as they arrive in each of the rooms (R, M): (R, G, N), cut at the end."""
    samples = sound.shape[-1]
    size = next_fast_len(samples + rooms.shape[-1] - 1, real=True)
    spectra = torch.fft.rfft(sound, size) * torch.fft.rfft(rooms, size)[:, None]
    heard: Tensor = torch.fft.irfft(spectra, size)[..., :samples]
    return heard
