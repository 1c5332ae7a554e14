"""Perceptual hashes of clips that never were, by the million, with the statistics of real ones.

Sound is drawn as levels of 33 bands every 0.05 s, of which the hash is taken as of real levels;
pictures as coefficients of a mean frame and of its changes. A clip shares a part of its sound with
others of its kind, so that vectors of different clips are alike about as often as those of the
demo's (0.7 % of pairs). Among the clips are copies, silence, stills, tracks that are absent, a
jingle that many share, and a studio whose pictures differ only in what moves.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mmlib.runtime.arrays import Bools, Floats32, Indices, Records
from mmlib.shards.rows.ledger import PICTURE, PICTURE_CHANGES, SOUND, SOUND_STEPS

KINDS = 100
# Of a clip's sound, what is its kind's.
ALIKE = 0.5
# Standard deviation of a band's level in a window of 0.05 s: half of the bits are then sure.
_LEVEL_DB = 2.2
_SURE_DB = 2.0
_BANDS, _FRAMES = 33, 70
# A copy is late by up to 0.25 s, and noise is added to it.
_LATEST, _NOISE = 5, 0.8
SHARES = {
    "copy": 0.01,
    "jingle": 0.01,
    "studio": 0.01,
    "silent": 0.05,
    "still": 0.05,
    "absent": 0.02,
}
"""Shares of the clips; copies are among the earlier ones only."""


@dataclass(frozen=True)
class Made:
    """Stored hashes (N,) of sound and pictures, and which clips have a track (N,)."""

    sound: Records
    picture: Records
    heard: Bools
    seen: Bools


class World:
    """What all made-up clips share, and the later ones, of which some earlier ones are copies."""

    def __init__(self, later: int, seed: int = 0) -> None:
        rng = np.random.default_rng([seed, 0])
        self._seed = seed
        self._kinds = rng.standard_normal((KINDS, _FRAMES, _BANDS), np.float32)
        self._jingle = rng.standard_normal((_FRAMES, _BANDS), np.float32)
        self._fall = (1 + np.arange(63, dtype=np.float32)) ** -0.8
        self._usual = 0.6 * rng.standard_normal(63, np.float32) * self._fall
        self._studio = rng.standard_normal(63, np.float32) * self._fall
        self._levels, self._frames, self._changes = self._drawn(rng, later)
        self._copied = later
        self.later = self._hashed(rng, self._levels, self._frames, self._changes)

    def earlier(self, number: int, count: int) -> tuple[Made, Indices]:
        """A block of earlier clips, and of which later clip (count,) each is a copy; -1 of none."""
        rng = np.random.default_rng([self._seed, 1, number])
        levels, frames, changes = self._drawn(rng, count)
        copies = np.flatnonzero(rng.random(count) < SHARES["copy"])
        of = np.full(count, -1, np.intp)
        of[copies] = rng.integers(self._copied, size=len(copies))
        for clip in copies:
            late = int(rng.integers(_LATEST + 1))
            levels[clip, : _FRAMES - late] = self._levels[of[clip], late:]
        noise = rng.standard_normal((len(copies), _FRAMES, _BANDS), np.float32)
        levels[copies] += _NOISE * rng.random((len(copies), 1, 1), np.float32) * noise
        frames[copies], changes[copies] = self._frames[of[copies]], self._changes[of[copies]]
        spread = rng.random((len(copies), 1, 1), np.float32)
        noise = rng.standard_normal((len(copies), *PICTURE_CHANGES), np.float32)
        changes[copies] += 0.3 * spread * noise
        return self._hashed(rng, levels, frames, changes), of

    def _drawn(self, rng: np.random.Generator, count: int) -> tuple[Floats32, Floats32, Floats32]:
        """Levels, mean frames and changes of so many clips."""
        kinds = self._kinds[rng.integers(KINDS, size=count)]
        levels = rng.standard_normal((count, _FRAMES, _BANDS), np.float32)
        levels *= np.float32((1 - ALIKE**2) ** 0.5)
        levels += np.float32(ALIKE) * kinds
        jingle = rng.random(count) < SHARES["jingle"]
        levels[jingle] = 0.1 * levels[jingle] + self._jingle
        frames = self._usual + rng.standard_normal((count, 63), np.float32) * self._fall
        studio = rng.random(count) < SHARES["studio"]
        frames[studio] = self._studio + 0.02 * frames[studio]
        return levels, frames, rng.standard_normal((count, *PICTURE_CHANGES), np.float32)

    def _hashed(
        self, rng: np.random.Generator, levels: Floats32, frames: Floats32, changes: Floats32
    ) -> Made:
        count = len(levels)
        sound, picture = np.zeros(count, SOUND), np.zeros(count, PICTURE)
        sound["code"], sound["mask"] = _code(levels)
        sound["vector"] = _vector(levels)
        sound[rng.random(count) < SHARES["silent"]] = np.zeros((), SOUND)
        picture["vector"] = (frames / np.linalg.norm(frames, axis=1, keepdims=True))[:, None]
        largest = np.abs(changes).max((1, 2), keepdims=True)
        picture["changes"] = np.round(127 * changes / largest)
        picture["changes"][rng.random(count) < SHARES["still"]] = 0
        heard, seen = rng.random((2, count)) >= SHARES["absent"]
        return Made(sound, picture, heard, seen)


def _smooth(levels: Floats32, windows: int, steps: int) -> Floats32:
    """Sums over so many windows, every so many."""
    sums = np.cumsum(levels, axis=1, dtype=np.float32)
    return np.asarray((sums[:, windows:] - sums[:, :-windows])[:, ::steps])


def _code(levels: Floats32) -> Iterator[Records]:
    smooth = _LEVEL_DB * _smooth(levels, 3, 1) / np.float32(3**0.5)
    slope = smooth[:, :, :-1] - smooth[:, :, 1:]
    change = (slope[:, 2:] - slope[:, :-2])[:, :SOUND_STEPS]
    for bits in (change > 0, np.abs(change) > _SURE_DB):
        yield np.packbits(bits, axis=2, bitorder="little").view("<u4")[..., 0]


def _vector(levels: Floats32) -> Floats32:
    edges = np.linspace(0, _BANDS, 10).astype(int)[:-1]
    smooth = np.add.reduceat(_smooth(levels, 6, 2), edges, axis=2)
    slope = smooth[:, :, :-1] - smooth[:, :, 1:]
    change = (slope[:, 2:] - slope[:, :-2])[:, :16]
    return np.asarray(change / np.linalg.norm(change, axis=(1, 2), keepdims=True), np.float32)
