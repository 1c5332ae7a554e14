"""Plucked strings: a burst of noise that goes round and round a delay line and wears off.

Karplus and Strong, "Digital synthesis of plucked-string and drum timbres" (1983). A string of N
samples is y[n] = x[n] + (y[n - N] + y[n - N - 1]) / 2, where x is a burst of N samples: the mean of
two neighbours delays by half a sample, so that the pitch is rate / (N + 1/2), and takes the high
partials first. Such a string loses nothing else. One that falls off faster is the same sound under
d^n: it obeys y[n] = x[n] d^n + d^N (y[n - N] + d y[n - N - 1]) / 2, a loop with loss d^N.
"""

import numpy as np

from mmlib.runtime.arrays import Floats
from mmlib.runtime.seeds import derive

A4_MIDI, A4_HZ = 69, 440.0
SHORTEST = 2


def periods(lowest: int, highest: int, rate_hz: int) -> tuple[int, ...]:
    """Lengths N of the strings of a chromatic scale, in samples, from the lowest note up.

    Notes are MIDI numbers, 69 being A at 440 Hz. A length is whole, so that a string is out of tune
    by up to half a sample in its period; notes that share a length share a string.
    """
    notes = np.arange(lowest, highest + 1)
    wanted = rate_hz / (A4_HZ * 2 ** ((notes - A4_MIDI) / 12)) - 0.5
    return tuple(dict.fromkeys(max(SHORTEST, round(length)) for length in wanted.tolist()))


def pitch_hz(period: int, rate_hz: int) -> float:
    """What a string of this length sounds."""
    return rate_hz / (period + 0.5)


def string(period: int, samples: int, seed: int) -> Floats:
    """The sound of one plucked string, (samples,), its burst of RMS 1.

    The burst follows from the seed and the length alone. Its mean is 0: the loop would never let go
    of a constant.
    """
    rng = np.random.default_rng(derive(seed, "music", "string", period))
    burst = rng.uniform(-1, 1, period)
    burst -= burst.mean()
    burst /= np.sqrt(np.mean(burst**2))
    rounds = [burst]
    last = 0.0
    for _ in range(-(-samples // period) - 1):
        former = rounds[-1]
        rounds.append((former + np.append(last, former[:-1])) / 2)
        last = former[-1]
    return np.concatenate(rounds)[:samples]
