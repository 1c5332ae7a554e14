"""Fields over a picture that sceneries are made of: dots, clouds, and shares of the area.

Shapes are (T, H, W, ...) of the frames; places and sizes are shares of the picture's side.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from mmlib.runtime.arrays import Floats


def axes(shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Places down (H, 1) and across (1, W), from 0 to 1."""
    down, across = ((np.arange(side) + 0.5) / side for side in shape[1:3])
    return down[:, None], across[None, :]


def even(level: float) -> Floats:
    """Cover of the share `level` everywhere."""
    return np.full((1, 1, 1, 1), level)


def specks(path: Floats, shape: tuple[int, ...], radius: float) -> Floats:
    """Cover (T, H, W, 1) of soft dots at `path` (T, n, 2), x and y, of a radius in [0, 1]."""
    count, height, width = shape[:3]
    across, down = np.moveaxis(np.floor(path * (width, height)).astype(int), -1, 0)
    inside = (across >= 0) & (across < width) & (down >= 0) & (down < height)
    place = (np.arange(count)[:, None] * height + down) * width + across
    dots = np.bincount(place[inside], minlength=count * height * width)
    spread = max(radius * max(height, width), 0.5)
    soft = gaussian_filter(
        dots.reshape(count, height, width).astype(np.float64), (0, spread, spread), mode="constant"
    )
    # A dot covers its middle all but wholly, whatever its size.
    return np.asarray(1 - np.exp(-3 * 2 * np.pi * spread**2 * soft))[..., None]


def clouds(rng: np.random.Generator, shape: tuple[int, ...], cells: Sequence[int]) -> Floats:
    """A smooth random field (H, W) in [0, 1], of features that many to a side, coarse to fine."""
    height, width = shape[1:3]
    total = np.zeros((height, width))
    for strength, count in enumerate(cells):
        grid = rng.random((count, count))
        scale = height / count, width / count
        field = zoom(grid, scale, order=1, mode="grid-wrap", grid_mode=True)
        total += field / 2**strength
    low, high = total.min(), total.max()
    return np.asarray((total - low) / max(high - low, 1e-9))


def ranks(field: Floats) -> Floats:
    """The share of places whose value is higher than that of each: level = what it then covers."""
    order = np.argsort(np.argsort(-field, axis=None, kind="stable"), kind="stable")
    return np.asarray((order.reshape(field.shape) + 0.5) / field.size)


def within(order: Floats, level: float) -> Floats:
    """Cover (H, W, 1) of the share `level` of the picture, with a soft edge."""
    return np.clip((level - order) / 0.04 + 0.5, 0, 1)[..., None]
