"""Shares as bars, each with its interval: heads' weights, and whatever else has a share each."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from mmlib.report import theme
from mmlib.report.figures import SMALL, WIDE
from mmlib.runtime.arrays import Floats


def weights(
    bars: Sequence[Sequence[float]],
    heads: Sequence[str],
    *,
    intervals: Sequence[Sequence[float]],
    name: str,
    label: str,
    x_label: str = "weight of the head's loss",
) -> Markup:
    """The weight of each head: first bar ours, in ink, the second to compare, in grey.

    `intervals`: the ends, head by head, of a line across the first bars. Whatever has a share each
    may stand for heads.
    """
    with theme.style():
        figure = theme.new_figure(WIDE, max(2.1, 0.7 + 0.2 * len(heads)))
        axes = figure.subplots()
        height = 0.8 / len(bars)
        places = np.arange(len(heads))
        for row, widths in enumerate(bars):
            colour = theme.INK if row == 0 else theme.MUTED
            drawn = axes.barh(
                places + row * height,
                widths,
                height * 0.86,
                color=colour,
                xerr=_reach(widths, intervals) if row == 0 else None,
                error_kw={"ecolor": theme.MUTED, "elinewidth": 1.6},
            )
            axes.bar_label(drawn, [f"{w:.3f}" for w in widths], padding=3, fontsize=SMALL)
        axes.set_yticks(places + 0.4 - height / 2, list(heads))
        axes.tick_params(axis="y", labelcolor=theme.INK)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.16)
        axes.set_xlabel(x_label)
        return theme.to_svg(figure, name, label)


def _reach(values: Sequence[float], intervals: Sequence[Sequence[float]]) -> Floats:
    """How far intervals reach below and above values, (2, N); not at all where outside them."""
    ends = np.asarray(intervals, np.float64).T
    reach: Floats = np.maximum(np.stack([values - ends[0], ends[1] - values]), 0.0)
    return reach
