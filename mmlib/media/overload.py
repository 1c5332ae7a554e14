"""Sound as ffmpeg decodes it, in floats, to 16 bit; and whether its values are sound at all.

Most codecs decode to floating point, and nothing keeps a file of such samples within [-1, 1]: those
of another range (16-bit values stored as floats, say) would become a square wave of full scale. In
16 bit no more is to be seen of it, so sound is taken from ffmpeg before it is cut off.
"""

import numpy as np

from mmlib.runtime.arrays import Floats32, Ints16

# Music that is merely too loud goes to twice full scale when it is decoded.
_FAR = 4.0
_FULL_SCALE = 32768


def to_ints(samples: Floats32) -> Ints16:
    """Samples (N,), full scale being 1, in 16 bit: cut off there, and silent where no number."""
    within = np.clip(np.nan_to_num(samples), -1.0, 1.0)
    return np.minimum(np.rint(within * _FULL_SCALE), _FULL_SCALE - 1).astype(np.int16)


def find_fault(samples: Floats32) -> str | None:
    """What is wrong with samples (N,), full scale being 1; None: nothing."""
    peak = float(np.abs(samples).max(initial=0.0))
    if not np.isfinite(peak):
        return "the sound has values that are not finite"
    return f"the sound goes to {peak:.3g} times full scale" if peak > _FAR else None
