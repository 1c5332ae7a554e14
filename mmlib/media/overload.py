"""Sound whose values are no sound: not finite, or far beyond full scale.

Most codecs decode to floating point, and nothing keeps a file of such samples within [-1, 1]; those
of another range (16-bit values stored as floats, say) become a square wave of full scale. In 16 bit
no more is to be seen of it than that samples stand at full scale; then the sound is read again as
floats. Music that is merely too loud goes to twice full scale when it is decoded.
"""

import numpy as np

from mmlib.runtime.arrays import Floats32, Ints16

# So many samples in a row at full scale, or one beside a quiet one, are looked into.
_RUN = 8
_QUIET = 16384
_FAR = 4.0


def is_suspicious(samples: Ints16) -> bool:
    """Tell whether samples (N,) stand at full scale as a wave that is cut off, or a gap, does."""
    full = (samples >= 32767) | (samples <= -32768)
    places = np.flatnonzero(full)
    if not len(places):
        return False
    total = np.cumsum(np.concatenate([[0], full]))
    quiet = np.abs(samples.astype(np.int32)) < _QUIET
    beside = quiet[np.maximum(places - 1, 0)] | quiet[np.minimum(places + 1, len(samples) - 1)]
    return bool(np.any(total[_RUN:] - total[:-_RUN] == _RUN) or np.any(beside))


def find_fault(samples: Floats32) -> str | None:
    """What is wrong with samples (N,), full scale being 1; None: nothing."""
    finite = np.isfinite(samples)
    if not finite.all():
        return "the sound has values that are not finite"
    peak = float(np.abs(samples).max(initial=0.0))
    return f"the sound goes to {peak:.3g} times full scale" if peak > _FAR else None
