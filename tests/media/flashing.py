"""Clips that flash and click at once, and when decoded ones are seen and heard to do so."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmlib.media.decode import Decoded
from mmlib.media.graph import Form
from mmlib.runtime.arrays import Floats
from tests.media.making import make
from tests.samples import RATE_HZ

# Frames of 10, 25 and 60 fps begin then; no two are equally far apart.
TIMES = (0.4, 0.8, 1.4, 2.0, 2.6)
SECONDS = 3.0
FINE = Form(RATE_HZ, 200.0, 16)
# A flash that lasts as long, and a click.
_FLASH_S, _CLICK_S = 0.1, 0.05
_BLOCK = 16
# Pauses within a click that are no pause.
_HELD_BLOCKS = 20
_TOGETHER_S = 0.25


@dataclass(frozen=True)
class Source:
    """What is encoded: frames and samples a second, and what each track goes through before."""

    fps: str = "25"
    rate_hz: int = 48000
    pictures: str = "null"
    sound: str = "anull"

    @property
    def frame_s(self) -> float:
        """How long a frame is on show."""
        above, _, below = self.fps.partition("/")
        return float(below or 1) / float(above)

    def write(self, out: Path, codecs: str) -> Path:
        """Encode it."""
        on, sounding = (
            "+".join(
                f"between(t\\,{time - 1e-4:.4f}\\,{time + length - 1e-4:.4f})" for time in TIMES
            )
            for length in (_FLASH_S, _CLICK_S)
        )
        # Noise, so that pictures are as large as those of real files.
        dark = f"color=c=0x202020:s=64x48:r={self.fps}:d={SECONDS},format=yuv420p"
        flashing = f"{dark},negate=enable='{on}',noise=alls=20:allf=t"
        clicking = f"aevalsrc='0.5*sin(6283*t)*({sounding})':s={self.rate_hz}:d={SECONDS}"
        inputs = ("-f lavfi -i", Path(flashing), "-f lavfi -i", Path(clicking))
        filters = ("-vf", Path(self.pictures), "-af", Path(self.sound))
        return make(out, *inputs, *filters, codecs)


def onsets(decoded: Decoded) -> tuple[Floats, Floats]:
    """Seconds at which it begins to flash and to click, decoded in the form `FINE`."""
    assert decoded.frames is not None
    assert decoded.pcm is not None
    bright = decoded.frames.mean((1, 2, 3)) > 128
    peaks = np.abs(decoded.pcm.astype(float))
    loud = peaks[: len(peaks) // _BLOCK * _BLOCK].reshape(-1, _BLOCK).max(1) > 3000
    loud = np.convolve(loud, np.ones(_HELD_BLOCKS), "full")[: len(loud)] > 0
    seen, heard = (np.flatnonzero(on[1:] & ~on[:-1]) + 1 for on in (bright, loud))
    return seen / FINE.fps, heard * _BLOCK / RATE_HZ


def pairs(decoded: Decoded) -> Floats:
    """Times (n, 2) of each flash, and of the click that belongs to it."""
    seen, heard = onsets(decoded)
    found = [
        (flash, heard[nearest])
        for flash in seen.tolist()
        if len(heard)
        and abs(heard[nearest := np.abs(heard - flash).argmin()] - flash) < _TOGETHER_S
    ]
    return np.array(found).reshape(-1, 2)
