"""Signed distances to plain shapes: negative inside, in the units of the coordinates (float32)."""

from collections.abc import Sequence

import numpy as np

from mmlib.runtime.arrays import Reals

Number = float | Reals


def disc(x: Reals, y: Reals, radius: Number) -> Reals:
    """A disc about the origin."""
    return np.sqrt(x * x + y * y) - np.asarray(radius, np.float32)


def ellipse(x: Reals, y: Reals, half_width: Number, half_height: Number) -> Reals:
    """An axis-parallel ellipse about the origin; exact on its edge and near it."""
    smaller = np.asarray(np.minimum(half_width, half_height), np.float32)
    return (np.sqrt((x / half_width) ** 2 + (y / half_height) ** 2) - 1) * smaller


def box(x: Reals, y: Reals, half_width: Number, half_height: Number) -> Reals:
    """An axis-parallel rectangle about the origin (largest-coordinate distance)."""
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def stroke(
    x: Reals, y: Reals, start: tuple[Number, Number], end: tuple[Number, Number], width: float
) -> Reals:
    """A line from start to end with round ends; `width` is half its thickness."""
    along_x = np.asarray(end[0] - start[0], np.float32)
    along_y = np.asarray(end[1] - start[1], np.float32)
    length = np.maximum(along_x * along_x + along_y * along_y, np.float32(1e-6))
    from_x, from_y = x - start[0], y - start[1]
    share = np.clip((from_x * along_x + from_y * along_y) / length, 0, 1)
    return disc(from_x - share * along_x, from_y - share * along_y, width)


def ring(x: Reals, y: Reals, radius: Number, width: float) -> Reals:
    """A circle about the origin, drawn with half the thickness `width`."""
    return np.abs(disc(x, y, radius)) - np.float32(width)


def convex(x: Reals, y: Reals, corners: Sequence[tuple[float, float]]) -> Reals:
    """A convex polygon, its corners clockwise as seen (largest distance to its sides)."""
    sides = []
    for (from_x, from_y), (to_x, to_y) in zip(corners, [*corners[1:], corners[0]], strict=True):
        along_x, along_y = to_x - from_x, to_y - from_y
        length = float(np.hypot(along_x, along_y))
        sides.append((x - from_x) * (along_y / length) - (y - from_y) * (along_x / length))
    return both(*sides)


def union(*distances: Reals) -> Reals:
    """All the shapes together."""
    joined = distances[0]
    for distance in distances[1:]:
        joined = np.minimum(joined, distance)
    return joined


def both(*distances: Reals) -> Reals:
    """What the shapes have in common."""
    joined = distances[0]
    for distance in distances[1:]:
        joined = np.maximum(joined, distance)
    return joined
