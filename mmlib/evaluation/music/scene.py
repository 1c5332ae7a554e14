"""Clips with music played to them: what a run makes of them, and at what level it arrived."""

from dataclasses import dataclass

import numpy as np
import torch

from mmlib.evaluation.music.compose import Judge
from mmlib.evaluation.music.mix import exactly, snrs_db, waveform
from mmlib.evaluation.music.rooms import heard_in
from mmlib.evaluation.music.score import Score
from mmlib.evaluation.music.stand import Stand
from mmlib.evaluation.music.strings import periods, pitch_hz
from mmlib.runtime.arrays import Array, Bools, Ints16

CLEAN = "clean"
AS_PLAYED = -1
"""In the place of a room's number: the music arrives as it is played."""
FIGURES = ("pitch_hz", "onset_s", "level_db", "decay_s")


def key(what: str, kind: str, snr_db: float, room: int = AS_PLAYED) -> str:
    """The name of an array of a piece; `what` is logits, level, a note's figure, or a sound."""
    return f"{what} {kind} {snr_db!r} {room}"


@dataclass(frozen=True, eq=False)
class Scene:
    """Clips as they are stored, (B, N) int16, that music is played to; `present` (B,) hear it."""

    stand: Stand
    judge: Judge
    pcm: Ints16
    present: Bools

    @torch.no_grad()
    def played(self, kind: str, snr_db: float, score: Score, shown: list[int]) -> dict[str, Array]:
        """Logits and levels as it is played and in unseen rooms; the notes; what is shown."""
        settings, instrument = self.stand.plan.settings, self.stand.instrument
        sound = instrument.play(score.notes(settings.piece))
        rooms = self.stand.rooms(settings.rooms.unseen, "unseen")
        assert rooms is not None
        arrays = {
            key(name, kind, snr_db): np.broadcast_to(value, (len(self.pcm), *value.shape[1:]))
            for name, value in _figures(score, self.stand).items()
        }
        for room, music in enumerate([sound, *heard_in(sound, rooms)], start=AS_PLAYED):
            mixed = self.pcm.copy()
            heard = music.cpu().numpy()[self.present if len(music) > 1 else slice(None)]
            if self.present.any():
                mixed[self.present] = exactly(self.pcm[self.present], heard, snr_db)
            levels = np.where(self.present, snrs_db(self.pcm, mixed), np.nan)
            arrays[key("level", kind, snr_db, room)] = levels
            arrays[key("logits", kind, snr_db, room)] = self.logits(mixed)
            if shown and snr_db == self.stand.plan.shown_at and room == 0:
                arrays |= {f"clean {CLEAN}": self.pcm[shown], f"mixed {kind}": mixed[shown]}
        if shown and snr_db == self.stand.plan.shown_at:
            arrays[f"music {kind}"] = sound.expand(len(self.pcm), -1)[shown].cpu().numpy()
        return arrays

    @torch.no_grad()
    def logits(self, pcm: Ints16) -> Array:
        """What the run makes of the clips with this sound, (B, K)."""
        audio = waveform(pcm).to(self.stand.device)
        found: Array = self.judge.forward({**self.judge.inputs, "audio": audio}).cpu().numpy()
        return found


def _figures(score: Score, stand: Stand) -> dict[str, Array]:
    """The notes in units, each (G, I): pitch in Hz, onset and decay in s, level in dB."""
    instrument, piece = stand.instrument, stand.plan.settings.piece
    lengths = periods(piece.lowest, piece.highest, instrument.rate_hz)
    pitches = np.array([pitch_hz(length, instrument.rate_hz) for length in lengths])
    notes = score.notes(piece)
    values = (
        pitches[score.pitch.argmax(-1).cpu().numpy()],
        score.onset.argmax(-1).cpu().numpy() * instrument.grid / instrument.rate_hz,
        notes.level_db.cpu().numpy(),
        notes.decay_s.cpu().numpy(),
    )
    return dict(zip(FIGURES, values, strict=True))
