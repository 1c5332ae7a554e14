"""Composing: a piece's notes follow the gradient of the model's loss, through the mix and rooms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmlib.attacks.core.losses import Loss
from mmlib.batch import Batch, Forward
from mmlib.evaluation.music.instrument import Instrument
from mmlib.evaluation.music.mix import at_snr
from mmlib.evaluation.music.rooms import heard_in
from mmlib.evaluation.music.score import Score
from mmlib.params.music import Piece

RATE = 0.3
"""Of Adam. Tried on the demo: 0.1 and 1 find less in 40 steps. [choice]"""
TRIAL_ROOMS = 4
"""In how many rooms for each drawn one what a search found is compared at its end. [choice]"""

RoomsAt = Callable[[int, int], Tensor | None]
"""How many rooms, for which step -> their responses (R, M); None: sound arrives as it is played."""


@dataclass(frozen=True)
class Judge:
    """Clips, their labels and the model that hears them; `inputs["audio"]` is (B, N) in [-1, 1]."""

    forward: Forward
    inputs: Batch
    labels: Tensor
    loss: Loss

    def losses(self, music: Tensor, snr_db: float) -> Tensor:
        """The loss of each clip, (B,), under music (R, B, N) or (R, 1, N): the mean over R."""
        found = [
            self.loss(
                self.forward({**self.inputs, "audio": at_snr(self.inputs["audio"], heard, snr_db)}),
                self.labels,
            )
            for heard in music
        ]
        return torch.stack(found).mean(0)


@dataclass(frozen=True)
class Search:
    """What pieces are composed with and against.

    `shared`: one piece for all clips of all judges; else a piece for each clip of one judge.
    `draws` rooms a step, of those that `rooms` gives.
    """

    instrument: Instrument
    piece: Piece
    judges: Sequence[Judge]
    rooms: RoomsAt
    draws: int
    steps: int
    shared: bool

    def compose(self, starts: Sequence[Score], snr_db: float, *, beside: Sequence[Score]) -> Score:
        """The piece that does most: the best of each ascent and its last, and those `beside`.

        They are compared in the same rooms, more of them than a step draws.
        """
        tried = [*beside]
        for number, start in enumerate(starts):
            tried += self.ascend(start, snr_db, first=number * (self.steps + 1))
        best, most = tried[0], self.losses(tried[0], snr_db, self._trial())
        for score in tried[1:]:
            found = self.losses(score, snr_db, self._trial())
            best, most = best.better(score, found > most), torch.maximum(most, found)
        return best

    def ascend(self, start: Score, snr_db: float, first: int = 0) -> tuple[Score, Score]:
        """Follow the gradient from a start; the best piece on the way by its own step, the last."""
        score = start.leaf()
        optimiser = torch.optim.Adam(score, lr=RATE, maximize=True)
        best, most = start, torch.full((len(start.level),), -torch.inf)
        for step in range(self.steps):
            optimiser.zero_grad()
            with torch.enable_grad():
                found = self.losses(score, snr_db, self._rooms(first + step), descend=True)
            best = best.better(score, found > most.to(found))
            most = torch.maximum(most.to(found), found)
            optimiser.step()
        return best, Score(*(part.detach() for part in score))

    def losses(
        self, score: Score, snr_db: float, rooms: Tensor | None, *, descend: bool = False
    ) -> Tensor:
        """The loss of each piece, (G,): of a shared one the sum over clips.

        `descend` adds the gradients to the score's.
        """
        totals = []
        for judge in self.judges:
            with torch.set_grad_enabled(descend):
                sound = self.instrument.play(score.notes(self.piece))
                music = sound[None] if rooms is None else heard_in(sound, rooms)
                found = judge.losses(music, snr_db)
            if found.requires_grad:
                found.sum().backward()  # type: ignore[no-untyped-call]
            totals.append(found.detach())
        return torch.cat(totals).sum(0, keepdim=True) if self.shared else totals[0]

    def _rooms(self, step: int) -> Tensor | None:
        return self.rooms(self.draws, step)

    def _trial(self) -> Tensor | None:
        return self.rooms(TRIAL_ROOMS * self.draws, -1)
