"""Perceptual hashes of a clip's sound and pictures, kept through re-encoding, level and size.

Each has a vector, which a search compares by the billion, and a finer part, which decides. For
sound that is a code: each bit is the sign of a change in time of the difference between two bands
(after Haitsma and Kalker, 2002), with a mask of the bits that are sure. For pictures it is how the
low cosine coefficients of brightness change in time (after Oostveen et al., 2002, whose signs alone
take clips of one studio for copies). Both tell what moves: a room, camera or hum that all clips
share adds nothing, and silence, black pictures and stills match nothing.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from mmlib.runtime.arrays import Bools, Bytes, Floats32, Indices, Ints8, Ints16, Words
from mmlib.shards.rows.ledger import (
    PICTURE,
    PICTURE_CHANGES,
    PICTURE_VECTOR,
    SOUND,
    SOUND_STEPS,
    SOUND_VECTOR,
)

# Sound: 33 bands in windows of 0.15 s every 0.05 s, changes over 0.1 s, for about 3 s; for the
# vector, 9 bands in windows of 0.3 s every 0.1 s, changes over 0.2 s.
_LAG = 2
_LOW_HZ, _HIGH_HZ = 150.0, 3600.0
_SILENCE_DB = -80.0
_SURE_DB = 2.0
_LOUD_CHANGE_DB = 12.0
# Pictures: 12 x 12 coefficients of two frames a second, for about 3 s; for the vector, 8 x 8 of
# their mean. In grey levels: what counts as flat, and as not moving.
_SIDE = 12
_SPACING_S = 0.5
_FLAT, _STILL = 2.0, 0.5


class SoundHash(NamedTuple):
    """`vector` (16, 8) float32, a row a tenth of a second, of length 1, or 0 where there is nothing
    to compare; `code` and `mask` (64,) words of 32 bits, one a twentieth of a second."""

    vector: Floats32
    code: Words
    mask: Words


class PictureHash(NamedTuple):
    """`vector` (1, 63) float32 of length 1, or 0 where there is nothing to compare; `changes`
    (5, 143) int8, a row every half second, the largest value 127; 0 in a row that does not move."""

    vector: Floats32
    changes: Ints8


def sound_hash(pcm: Ints16, rate_hz: int) -> SoundHash:
    """Hash the first three seconds of samples (N,)."""
    code, mask = np.zeros((2, SOUND_STEPS), np.uint32)
    change, heard = _slope_changes(pcm, rate_hz, 0.05, 32, SOUND_STEPS)
    code[: len(change)] = _words(change > 0)
    mask[: len(change)] = _words(heard & (np.abs(change) > _SURE_DB))
    vector = np.zeros(SOUND_VECTOR, np.float32)
    change, heard = _slope_changes(pcm, rate_hz, 0.1, SOUND_VECTOR[1], SOUND_VECTOR[0])
    vector[: len(change)] = np.where(heard, change, 0).clip(-_LOUD_CHANGE_DB, _LOUD_CHANGE_DB)
    return SoundHash(_unit(vector), code, mask)


def _slope_changes(
    pcm: Ints16, rate_hz: int, hop_s: float, slopes: int, steps: int
) -> tuple[Floats32, Bools]:
    """Changes in time (T, slopes) of the level differences of neighbouring bands, in dB.

    Windows are three hops long. Also which of them lie above silence; T is at most `steps`.
    """
    hop = round(hop_s * rate_hz)
    window = 3 * hop
    count = min((len(pcm) - window) // hop + 1, steps + _LAG)
    if count <= _LAG:
        return np.zeros((0, slopes), np.float32), np.zeros((0, slopes), np.bool_)
    places = hop * np.arange(count)[:, None] + np.arange(window)
    frames = pcm[places].astype(np.float32) * _hann(window)
    power = np.abs(np.fft.rfft(frames, 2 * window)) ** 2
    edges = _edges(2 * window, rate_hz, slopes + 1)
    bands = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)
    levels = 10 * np.log10(bands + 1e-12)
    loud = levels > _SILENCE_DB
    slope, heard = levels[:, :-1] - levels[:, 1:], loud[:, :-1] & loud[:, 1:]
    return np.asarray(slope[_LAG:] - slope[:-_LAG], np.float32), heard[_LAG:] & heard[:-_LAG]


@lru_cache(maxsize=4)
def _hann(window: int) -> Floats32:
    """A window under which a full-scale sine has a power of about 1."""
    return np.asarray(np.hanning(window) / (32768 * window / 4), np.float32)


@lru_cache(maxsize=4)
def _edges(points: int, rate_hz: int, bands: int) -> Indices:
    """The FFT bins between which the bands lie, on a logarithmic scale; each at least one bin."""
    high = min(_HIGH_HZ, 0.45 * rate_hz)
    edges = np.geomspace(_LOW_HZ, high, bands + 1) * points / rate_hz
    return np.asarray(np.round(edges).astype(np.intp))


def picture_hash(frames: Bytes, fps: float) -> PictureHash:
    """Hash the first three seconds of frames (T, H, W, 3) at `fps` a second."""
    empty = PictureHash(np.zeros(PICTURE_VECTOR, np.float32), np.zeros(PICTURE_CHANGES, np.int8))
    chosen = frames[:: max(1, round(fps * _SPACING_S))][: PICTURE_CHANGES[0] + 1]
    if len(chosen) == 0:
        return empty
    coefficients = _coefficients(chosen)
    vector = coefficients.mean(0)[:8, :8].ravel()[None, 1:]
    if np.linalg.norm(vector) < _FLAT:
        return empty
    change = np.diff(coefficients, axis=0).reshape(-1, _SIDE * _SIDE)[:, 1:]
    change[np.linalg.norm(change, axis=1) < _STILL] = 0
    changes = empty.changes.copy()
    changes[: len(change)] = np.round(127 * change / max(np.abs(change).max(initial=0), _STILL))
    return PictureHash(_unit(vector), changes)


def _coefficients(frames: Bytes) -> Floats32:
    """The low cosine coefficients (T, 12, 12) of the frames' brightness, in grey levels."""
    grey = frames.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.asarray(_cosines(grey.shape[1]) @ grey @ _cosines(grey.shape[2]).T)


@lru_cache(maxsize=8)
def _cosines(size: int) -> Floats32:
    """The first 12 functions of the DCT-II over `size` pixels, scaled to a mean over pixels."""
    angles = np.pi * np.arange(_SIDE)[:, None] * (np.arange(size) + 0.5) / size
    scale = np.where(np.arange(_SIDE) > 0, np.sqrt(2), 1)[:, None] / size
    return np.asarray(np.cos(angles) * scale, np.float32)


def _words(bits: Bools) -> Words:
    """Rows of 32 bits (T, 32) as one word each."""
    weights = np.uint32(1) << np.arange(32, dtype=np.uint32)
    return np.asarray((bits * weights).sum(1, dtype=np.uint32))


def _unit(vector: Floats32) -> Floats32:
    length = float(np.linalg.norm(vector))
    return np.asarray(vector / length if length > 0 else vector, np.float32)


def pack(found: SoundHash | PictureHash) -> bytes:
    """The hash as it is stored, in the dtype SOUND or PICTURE."""
    return np.array([found], SOUND if isinstance(found, SoundHash) else PICTURE).tobytes()
