"""The rooms that music is played in: reverberation, distance and gap are drawn."""

import numpy as np
import torch
from torch import Tensor

from mmlib.evaluation.rooms import heard, response
from mmlib.params.music import Rooms
from mmlib.runtime.arrays import Floats
from mmlib.runtime.seeds import derive

GAP_S = (0.002, 0.012)
"""When the first reflection comes after the direct sound: 0.7 to 4 m of detour. [choice]"""


def responses(settings: Rooms, rate_hz: int, count: int, *use: int | str) -> Tensor:
    """Impulse responses of `count` rooms, (count, M), that follow from `use`, a seed with names.

    Each is a `response` whose RT60, ratio of direct to reverberant energy and gap are drawn
    uniformly.
    """
    length = 1 + int(np.ceil(settings.rt60_s[1] * rate_hz))
    drawn = [_response(settings, rate_hz, length, derive(*use, place)) for place in range(count)]
    return torch.from_numpy(np.stack(drawn)).float()


def _response(settings: Rooms, rate_hz: int, length: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    rt60, ratio_db, gap = (
        rng.uniform(*reach) for reach in (settings.rt60_s, settings.direct_db, GAP_S)
    )
    return response(rng, rate_hz, length, rt60, ratio_db, gap)


def heard_in(sound: Tensor, rooms: Tensor) -> Tensor:
    """Sounds (G, N) as they arrive in each of the rooms (R, M): (R, G, N), cut at the end."""
    return heard(sound, rooms[:, None])
