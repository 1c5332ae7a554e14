"""A piece of plucked strings as a function of its notes, differentiable in all of them.

The two choices of a note, which string and when, are weights over all strings and all places of a
grid. Whole weights, one 1 and else 0, are a piece that can be played; weights between mix strings,
and give the choices a gradient.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mmlib.evaluation.music.strings import string

_DB = math.log(10) / 20
_SIXTY_DB = 60 * _DB


class Notes(NamedTuple):
    """G pieces of I notes: weights of the strings, (G, I, P), and of the places, (G, I, O).

    `level_db` (G, I) is of a note's pluck, `decay_s` (G, I) in what time it falls by 60 dB.
    """

    pitch: Tensor
    onset: Tensor
    level_db: Tensor
    decay_s: Tensor


class Instrument:
    """Strings of some lengths, plucked where a grid allows it, for `samples` at `rate_hz`.

    The grid has a place every `grid` samples from the start on.
    """

    def __init__(
        self, periods: Sequence[int], samples: int, rate_hz: int, grid: int, seed: int
    ) -> None:
        self.samples, self.rate_hz, self.grid = samples, rate_hz, grid
        self.places = -(-samples // grid)
        length = self.places * grid
        sounds = np.stack([string(period, length, seed) for period in periods])
        self.strings = torch.from_numpy(sounds).float()
        self._steps, self._cells = torch.arange(grid).float(), torch.arange(self.places).float()
        # Place a of the piece hears what sounded at place b of a note that began a - b before.
        self._back = torch.arange(self.places)[:, None] - torch.arange(self.places)

    def to(self, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Self:
        """The same instrument elsewhere, or in another precision; this one is changed."""
        for name in ("strings", "_steps", "_cells"):
            setattr(self, name, getattr(self, name).to(device=device, dtype=dtype))
        self._back = self._back.to(device=device)
        return self

    def play(self, notes: Notes) -> Tensor:
        """The pieces' sound, (G, samples), not limited to [-1, 1]."""
        # A fall is a product of one from cell to cell and one within a cell: few exponentials.
        slope = -_SIXTY_DB / (notes.decay_s[..., None] * self.rate_hz)
        within = torch.exp(slope * self._steps)
        among = torch.exp(slope * self.grid * self._cells + _DB * notes.level_db[..., None])
        cells = (*notes.decay_s.shape, self.places, self.grid)
        pitched = (notes.pitch @ self.strings).reshape(cells)
        sounding = (pitched * within[:, :, None]).flatten(1, 2)
        moved = self._delays(notes.onset) * among[:, :, None]
        pieces = moved.transpose(1, 2).flatten(2) @ sounding
        return pieces.flatten(1)[:, : self.samples]

    def _delays(self, onset: Tensor) -> Tensor:
        """A matrix for each note that delays by its onset: (G, I, O, O), place a from place b."""
        padded = functional.pad(onset, (self.places, 0))
        return padded[..., self.places + self._back]
