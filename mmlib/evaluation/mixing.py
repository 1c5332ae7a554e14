"""Sound changed to a stated signal-to-noise ratio."""

import numpy as np

from mmlib.runtime.arrays import Floats, Ints16

FULL_SCALE = 32768.0
QUIETEST_DB = -60.0
"""RMS, in dB of full scale, below which a clip counts as so loud: silence has no ratio. [choice]"""
_PRECISION_DB = 0.02
_ROUNDS = 12


def snr_db(clean: Ints16, changed: Ints16) -> float:
    """Power of the clean sound over that of the change, dB; inf where nothing changed."""
    error = _power(changed.astype(np.float64) - clean)
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(np.divide(_power(clean.astype(np.float64)), error)))


def mixed(clean: Ints16, noise: Floats, ratio_db: float, base: Floats | None = None) -> Ints16:
    """Add the noise (N,), at whatever level gives the stated SNR, to `clean` (N,).

    `base` is what it is added to in the place of the clean sound: a change of its own, which counts
    as noise too and must be smaller. What goes beyond full scale is cut, as in any recorder; the
    level is found with the cut and with the rounding to int16. Sound below `QUIETEST_DB` counts as
    so loud. Noise that is silent changes nothing.
    """
    sound = clean.astype(np.float64)
    start = sound if base is None else base * FULL_SCALE
    wanted = reference(sound) * 10 ** (-ratio_db / 10)
    own = _power(start - sound)
    strength = _power(noise)
    if strength == 0:
        return _stored(start)
    gain = np.sqrt(max(wanted - own, 0.0) / strength)
    changed = _stored(start + gain * noise)
    for _ in range(_ROUNDS):
        found = _power(changed - sound)
        if found == 0 or abs(10 * np.log10(found / wanted)) < _PRECISION_DB:
            break
        gain *= np.sqrt(np.clip((wanted - own) / max(found - own, 1e-9), 0.25, 4.0))
        changed = _stored(start + gain * noise)
    return changed


def reference(sound: Floats) -> float:
    """The power that a ratio is of, of sound in units of int16."""
    return max(_power(sound), FULL_SCALE**2 * 10 ** (QUIETEST_DB / 10))


def _power(values: Floats) -> float:
    return float(np.mean(np.square(values))) if values.size else 0.0


def _stored(sound: Floats) -> Ints16:
    return np.clip(np.rint(sound), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
