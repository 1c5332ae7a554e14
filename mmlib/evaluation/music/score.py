"""A piece as numbers that a gradient may move, and as a score that can be read."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmlib.evaluation.music.instrument import Notes
from mmlib.params.music import Piece
from mmlib.runtime.arrays import Floats


class Score(NamedTuple):
    """G pieces of I notes, without bounds: what an optimiser moves.

    The largest of `pitch` (G, I, P) and of `onset` (G, I, O) is what a note plays and when; `level`
    and `decay` (G, I) go through a sigmoid to their ranges.
    """

    pitch: Tensor
    onset: Tensor
    level: Tensor
    decay: Tensor

    def notes(self, piece: Piece) -> Notes:
        """The notes as they are played, with the gradient of the softened choices.

        Straight-through: forward each choice is made, backward it is the softmax.
        """
        shortest, longest = np.log(piece.decay_s)
        return Notes(
            _chosen(self.pitch),
            _chosen(self.onset),
            piece.range_db * (torch.sigmoid(self.level) - 1),
            torch.exp(shortest + (longest - shortest) * torch.sigmoid(self.decay)),
        )

    def leaf(self) -> "Score":
        """A copy that gathers gradients."""
        return Score(*(part.detach().clone().requires_grad_() for part in self))

    def better(self, other: "Score", where: Tensor) -> "Score":
        """The other's pieces where the mask (G,) says so, else these."""
        return Score(
            *(
                torch.where(where.view(-1, *[1] * (mine.dim() - 1)), theirs, mine).detach()
                for mine, theirs in zip(self, other, strict=True)
            )
        )

    def to(self, device: torch.device) -> "Score":
        """The same on a device."""
        return Score(*(part.to(device) for part in self))


def random_score(piece: Piece, strings: int, places: int, seeds: Sequence[int]) -> Score:
    """A random piece for each seed: every string and place is as likely, so are levels and decays.

    Levels uniform in dB, decays on a logarithmic scale, each within its range.
    """
    drawn = [_random(piece.notes, strings, places, seed) for seed in seeds]
    parts = (np.stack(part) for part in zip(*drawn, strict=True))
    return Score(*(torch.from_numpy(part).float() for part in parts))


def _random(notes: int, strings: int, places: int, seed: int) -> tuple[Floats, ...]:
    rng = np.random.default_rng(seed)
    shares = rng.uniform(0.001, 0.999, (2, notes))
    level, decay = np.log(shares / (1 - shares))
    return (
        rng.standard_normal((notes, strings)),
        rng.standard_normal((notes, places)),
        level,
        decay,
    )


def _chosen(weights: Tensor) -> Tensor:
    soft = weights.softmax(-1)
    hard = torch.zeros_like(soft).scatter(-1, weights.argmax(-1, keepdim=True), 1.0)
    return hard + (soft - soft.detach())
