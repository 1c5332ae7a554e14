"""What happens to sound and pictures without a codec: levels, rates, rooms, sizes, crops.

Each makes of a tensor of one modality another of its shape, differentiably, at a level in the unit
that `params.survival.RANGES` gives; what is drawn follows from one seed a clip.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchaudio.functional import resample

from mmlib.evaluation.rooms import heard, response

Signal = Callable[[Tensor, float, Sequence[int], int], Tensor]
"""Clips (B, ...), the level, a seed each and the sample rate in Hz -> clips."""

_FIRST_S = 0.005
"""When the first reflection comes, as in a small room. [choice]"""


def gain(sound: Tensor, level: float, seeds: Sequence[int], rate_hz: int) -> Tensor:
    """Louder by so many dB, or quieter; what goes beyond full scale is cut."""
    return (sound * 10 ** (level / 20)).clamp(-1, 1)


def resampled(sound: Tensor, level: float, seeds: Sequence[int], rate_hz: int) -> Tensor:
    """Through a sample rate of so many Hz and back: what lies above half of it is lost."""
    there = resample(sound, rate_hz, round(level))
    back = resample(there, round(level), rate_hz)
    length = sound.shape[-1]
    return functional.pad(back[..., :length], (0, max(0, length - back.shape[-1]))).clamp(-1, 1)


def room(sound: Tensor, level: float, seeds: Sequence[int], rate_hz: int) -> Tensor:
    """In a room whose sound decays by 60 dB in so many seconds, one of each clip's own.

    The direct sound has as much energy as all reflections (`rooms.response` at 0 dB), and the
    response is scaled to energy 1, so that sound keeps its level.
    """
    length = min(1 + math.ceil(level * rate_hz), sound.shape[-1])
    drawn = [
        response(np.random.default_rng(seed), rate_hz, length, level, 0.0, _FIRST_S)
        for seed in seeds
    ]
    responses = torch.from_numpy(np.stack(drawn) / 2**0.5).to(sound)
    return heard(sound, responses).clamp(-1, 1)


def resized(video: Tensor, level: float, seeds: Sequence[int], rate_hz: int) -> Tensor:
    """Scaled to this share of the side, and back: what is finer is lost."""
    side = video.shape[-1]
    return _scaled(_scaled(video, max(1, round(level * side))), side)


def cropped(video: Tensor, level: float, seeds: Sequence[int], rate_hz: int) -> Tensor:
    """A square that lacks this share of the side, from anywhere in the picture, scaled up."""
    side = video.shape[-1]
    kept = max(1, round((1 - level) * side))
    cut = []
    for clip, seed in zip(video, seeds, strict=True):
        generator = torch.Generator().manual_seed(seed)
        top, left = torch.randint(0, side - kept + 1, (2,), generator=generator).tolist()
        cut.append(clip[..., top : top + kept, left : left + kept])
    return _scaled(torch.stack(cut), side)


def _scaled(video: Tensor, side: int) -> Tensor:
    """Pictures (B, 3, T, S, S) at another size, bilinear with antialiasing."""
    if side == video.shape[-1]:
        return video
    flat = video.transpose(1, 2).flatten(0, 1)
    scaled = functional.interpolate(
        flat, size=(side, side), mode="bilinear", antialias=True, align_corners=False
    )
    count, channels, frames = video.shape[:3]
    return scaled.view(count, frames, channels, side, side).transpose(1, 2)


SIGNALS: Mapping[str, tuple[str, Signal]] = {
    "gain": ("audio", gain),
    "resample": ("audio", resampled),
    "room": ("audio", room),
    "resize": ("video", resized),
    "crop": ("video", cropped),
}
"""By name: the modality that it changes, and the function."""
