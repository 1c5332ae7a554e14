"""Names beside dots, each at the first of eight places that is still free."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmlib.report import theme
from mmlib.runtime.arrays import Floats

Box = tuple[float, float, float, float]

MOST = 16
"""More dots than this: only the eight farthest from the middle are named."""
PLACES = ((6, -3), (-6, -3), (0, 6), (0, -12), (6, 4), (-6, 4), (6, -10), (-6, -10))
"""Offsets from a dot in points, the best first."""
LETTER = 0.62
"""Mean width of a letter in units of the type size; a little wide, to be safe."""


def name_points(
    figure: Figure,
    axes: Axes,
    x: Floats,
    y: Floats,
    names: Sequence[str],
    size: float,
) -> None:
    """Write the names once the axes have their limits; names without a free place are left out."""
    figure.draw_without_rendering()
    scale = figure.dpi / 72
    dots = axes.transData.transform(np.column_stack([x, y]))
    reach = 4 * scale
    taken = [(px - reach, py - reach, px + reach, py + reach) for px, py in dots]
    for i in _chosen(x, y):
        for dx, dy in PLACES:
            width, height = len(names[i]) * size * LETTER * scale, 1.2 * size * scale
            shift = {-1: width, 0: width / 2, 1: 0.0}[int(np.sign(dx))]
            left, base = dots[i][0] + dx * scale - shift, dots[i][1] + dy * scale
            box = (left, base, left + width, base + height)
            if _inside(box, axes) and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                axes.annotate(
                    names[i],
                    (x[i], y[i]),
                    xytext=(dx, dy),
                    textcoords="offset points",
                    ha={-1: "right", 0: "center", 1: "left"}[int(np.sign(dx))],
                    fontsize=size,
                    color=theme.INK,
                )
                break


def _chosen(x: Floats, y: Floats) -> list[int]:
    if len(x) <= MOST:
        return list(range(len(x)))
    away = sum(np.abs(v - v.mean()) / (v.std() or 1.0) for v in (x, y))
    return sorted(np.argsort(-np.asarray(away), kind="stable")[: MOST // 2].tolist())


def _inside(box: Box, axes: Axes) -> bool:
    frame = axes.bbox
    return bool(frame.x0 <= box[0] and box[2] <= frame.x1 and frame.y0 <= box[1])


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
