"""What digital noise does to pictures: sensor noise of four kinds, and coding by JPEG.

Each changes frames (T, H, W, 3) in [0, 1]; drawn from the same generator, a stronger one is the
weaker one made larger.
"""

from collections.abc import Callable, Mapping

import numpy as np

from mmlib.runtime.arrays import Bytes, Floats
from mmlib.shards.read import jpeg

Change = Callable[[np.random.Generator, Floats, float], Floats]


def gaussian(rng: np.random.Generator, frames: Floats, level: float) -> Floats:
    """Normal noise of the standard deviation `level`, a share of full scale."""
    return frames + level * rng.standard_normal(frames.shape)


def impulse(rng: np.random.Generator, frames: Floats, level: float) -> Floats:
    """The share `level` of the values set to black or white."""
    ends = np.round(rng.random(frames.shape))
    return np.where(rng.random(frames.shape) < level, ends, frames)


def shot(rng: np.random.Generator, frames: Floats, level: float) -> Floats:
    """Photons counted, of which full scale is `level`: Poisson noise."""
    return rng.poisson(np.clip(frames, 0, 1) * level) / level


def speckle(rng: np.random.Generator, frames: Floats, level: float) -> Floats:
    """Normal noise of the standard deviation `level` that multiplies the pixel."""
    return frames * (1 + level * rng.standard_normal(frames.shape))


PIXELS: Mapping[str, Change] = {
    "gaussian": gaussian,
    "impulse": impulse,
    "shot": shot,
    "speckle": speckle,
}


def noisy(rng: np.random.Generator, frames: Bytes, kind: str, level: float) -> Bytes:
    """Frames (T, H, W, 3) with one of `PIXELS`."""
    return stored(PIXELS[kind](rng, frames / 255.0, level))


def coded(frames: Bytes, quality: int) -> Bytes:
    """Frames (T, H, W, 3), each as a JPEG of libjpeg's quality and back."""
    (found,) = jpeg.decode([jpeg.encode(frames, quality)], [""], frames.shape)
    return np.asarray(found)


def stored(pictures: Floats) -> Bytes:
    """Pictures in [0, 1], cut there, as uint8."""
    found: Bytes = np.rint(np.clip(pictures, 0, 1) * 255).astype(np.uint8)
    return found


def psnr_db(clean: Bytes, changed: Bytes) -> float:
    """Peak signal-to-noise ratio over all pixels, dB; inf where nothing changed."""
    error = float(np.mean(np.square(changed.astype(np.float64) - clean))) if clean.size else 0.0
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))
