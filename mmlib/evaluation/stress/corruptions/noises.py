"""What digital noise does to sound: white, in impulses, signal-dependent, or by coding."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.fft import dct, idct

from mmlib.evaluation.mixing import FULL_SCALE, mixed, reference
from mmlib.runtime.arrays import Floats, Ints16

Shape = Callable[[np.random.Generator, Floats], Floats]

IMPULSES = 0.01
"""Share of the samples that impulses hit, at the least."""
# Clicks of full scale have this many times the power that is wanted, to leave room for the cut.
_ROOM = 3.0
_BLOCK_S = 0.032


def gaussian(rng: np.random.Generator, sound: Floats) -> Floats:
    """White noise."""
    return rng.standard_normal(sound.size)


def shot(rng: np.random.Generator, sound: Floats) -> Floats:
    """Noise whose power grows as the momentary level does, as that of counted particles."""
    return np.sqrt(np.abs(sound)) * rng.standard_normal(sound.size)


def speckle(rng: np.random.Generator, sound: Floats) -> Floats:
    """Noise that multiplies the sound."""
    return sound * rng.standard_normal(sound.size)


NOISES: Mapping[str, Shape] = {
    "gaussian": gaussian,
    "shot": shot,
    "speckle": speckle,
}
"""Shape of the noise (N,), of any level, for sound (N,) in [-1, 1]."""


def noisy(
    rng: np.random.Generator, clean: Ints16, kind: str, ratios_db: Sequence[float]
) -> list[Ints16]:
    """Sound (N,) with one of `NOISES`, the same noise at each of some SNR."""
    noise = NOISES[kind](rng, clean / FULL_SCALE)
    return [mixed(clean, noise, ratio) for ratio in ratios_db]


def clicking(rng: np.random.Generator, clean: Ints16, ratios_db: Sequence[float]) -> list[Ints16]:
    """Sound (N,) with clicks of one height, up or down, at each of some SNR.

    One sample in a hundred is hit, or as many as it takes where clicks of full scale would not do;
    those of a milder ratio are among those of a harder one.
    """
    draws, signs = rng.random(clean.size), np.where(rng.random(clean.size) < 0.5, -1.0, 1.0)
    power = reference(clean.astype(np.float64)) / FULL_SCALE**2
    found = []
    for ratio in ratios_db:
        share = np.clip(_ROOM * power * 10 ** (-ratio / 10), IMPULSES, 1.0)
        found.append(mixed(clean, np.where(draws < share, signs, 0.0), ratio))
    return found


def coded(clean: Ints16, rate_hz: int, ratios_db: Sequence[float]) -> list[Ints16]:
    """Sound (N,) of which a transform coder keeps its strongest components alone, at some SNR.

    A modified discrete cosine transform of sine windows, 32 ms a hop, is orthogonal: what is
    dropped, from the weakest component on, has just the energy of the error, so that as many are
    dropped as the stated SNR allows.
    """
    sound = clean / FULL_SCALE
    hop = 1 << max(3, round(np.log2(_BLOCK_S * rate_hz)))
    components = _forward(np.pad(sound, (hop, hop + -len(sound) % hop)), hop)
    squares = np.square(components)
    energies = np.sort(squares, axis=None)
    totals, held = np.cumsum(energies), float(np.sum(np.square(sound)))
    found = []
    for ratio in ratios_db:
        dropped = int(np.searchsorted(totals, held * 10 ** (-ratio / 10), side="right"))
        least = energies[dropped - 1] if dropped else -1.0
        kept = _backward(np.where(squares > least, components, 0.0), hop)
        samples = np.rint(kept[hop : hop + len(sound)] * FULL_SCALE)
        found.append(np.clip(samples, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16))
    return found


def _window(hop: int) -> Floats:
    return np.asarray(np.sin(np.pi * (np.arange(2 * hop) + 0.5) / (2 * hop)))


def _forward(padded: Floats, hop: int) -> Floats:
    """Components (blocks, hop) of a signal that begins and ends with `hop` zeros."""
    blocks = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[::hop] * _window(hop)
    a, b, c, d = np.split(blocks, 4, axis=1)
    folded = np.concatenate([-c[:, ::-1] - d, a - b[:, ::-1]], axis=1)
    return np.asarray(dct(folded, type=4, norm="ortho"))


def _backward(components: Floats, hop: int) -> Floats:
    """The signal of the components: their blocks, overlapped and added."""
    first, second = np.split(idct(components, type=4, norm="ortho"), 2, axis=1)
    blocks = np.concatenate([second, -second[:, ::-1], -first[:, ::-1], -first], axis=1)
    blocks *= _window(hop)
    total = np.zeros((len(blocks) + 1) * hop)
    total[:-hop] += blocks[:, :hop].ravel()
    total[hop:] += blocks[:, hop:].ravel()
    return total
