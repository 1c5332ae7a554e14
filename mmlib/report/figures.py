"""The report's drawings: plain numbers in, one inline SVG out; a run keeps its colour and marker.

Every panel is a drawing of its own, so that the page sets them side by side or one below another.
Widths follow from how many stand in a row, so that type comes out alike.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mmlib.report import theme
from mmlib.report.comparison.predictors import trend
from mmlib.report.labels import name_points
from mmlib.runtime.arrays import Floats

# inches: a row of three and a row of two
NARROW, WIDE = 3.15, 4.3
SMALL = 7.5


class Line(NamedTuple):
    """A curve: its run's place in params.yaml, x, y; where known the band and the noise floor."""

    run: int
    x: Floats
    y: Floats
    lo: Floats | None = None
    hi: Floats | None = None
    floor: Floats | None = None


class Point(NamedTuple):
    """One run's place in a trade-off: x, then y with its interval."""

    run: int
    label: str
    x: float
    y: float
    lo: float
    hi: float


def robustness(
    lines: Sequence[Line],
    *,
    headline: float,
    chance: float | None,
    name: str,
    label: str,
    y_label: str = "mAP",
) -> Markup:
    """mAP or another share against eps: bands, equal-norm noise (dotted), chance and headline."""
    with theme.style():
        figure = theme.new_figure(NARROW, 2.75)
        axes = figure.subplots()
        for line in lines:
            _draw(axes, line)
        points = sorted({float(x) for line in lines for x in line.x})
        _eps_axis(axes, points)
        axes.axvline(headline, color=theme.MUTED, linewidth=0.8, zorder=0)
        place = ("data", "axes fraction")
        _remark(axes, "headline", (headline, 1.0), (3, -7), place)
        if chance is not None:
            axes.axhline(chance, color=theme.MUTED, linewidth=0.9, linestyle=(0, (5, 3)), zorder=0)
            _remark(axes, "chance", (points[0], chance), (-6, -8))
        axes.set_ylim(0, _ceiling(lines))
        axes.set_ylabel(y_label)
        axes.set_xlabel("budget ε, thousandths of full scale")
        return theme.to_svg(figure, name, label)


def training(lines: Sequence[Line], *, y_label: str, name: str, label: str) -> Markup:
    """One quantity against the epoch, one line per run."""
    with theme.style():
        figure = theme.new_figure(NARROW, 2.5)
        axes = figure.subplots()
        for line in lines:
            _draw(axes, line, every=max(1, len(line.x) // 6))
        axes.set_xlabel("epoch")
        axes.set_ylabel(y_label)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
        return theme.to_svg(figure, name, label)


def curves(
    lines: Sequence[Line],
    *,
    x_label: str,
    ticks: Sequence[tuple[float, str]],
    name: str,
    label: str,
    y_label: str = "mAP",
    every: int = 1,
    linear_to: float | None = None,
) -> Markup:
    """mAP or another share against anything, one line per run with its band.

    `ticks` are places on x and texts; a mark stands on one point of `every`. Beyond `linear_to`
    x is logarithmic.
    """
    with theme.style():
        figure = theme.new_figure(NARROW, 2.5)
        axes = figure.subplots()
        for line in lines:
            _draw(axes, line, every)
        if linear_to is not None:
            axes.set_xscale("symlog", linthresh=linear_to)
            axes.minorticks_off()
        axes.set_xticks([place for place, _ in ticks], [text for _, text in ticks])
        axes.set_ylim(0, _ceiling(lines))
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        return theme.to_svg(figure, name, label)


def scatter(
    x: Floats,
    y: Floats,
    names: Sequence[str],
    *,
    run: int,
    x_label: str,
    y_label: str,
    name: str,
    label: str,
) -> Markup:
    """One dot per class with its name, and the least-squares line; undefined dots are left out."""
    kept = np.flatnonzero(np.isfinite(x) & np.isfinite(y)).tolist()
    x, y = x[kept], y[kept]
    with theme.style():
        figure = theme.new_figure(WIDE, 3.1)
        axes = figure.subplots()
        colour, marker = theme.series_colour(run), theme.series_marker(run)
        axes.scatter(x, y, s=24, color=colour, marker=marker, linewidth=0, zorder=3)
        line = trend(x, y)
        if line is not None:
            ends = np.array([x.min(), x.max()])
            axes.plot(ends, line[0] * ends + line[1], color=colour, alpha=0.65, linewidth=1.3)
        axes.margins(0.12, 0.1)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        name_points(figure, axes, x, y, [names[i] for i in kept], SMALL)
        return theme.to_svg(figure, name, label)


def trade_off(
    points: Sequence[Point], *, x_label: str, y_label: str, name: str, label: str
) -> Markup:
    """What robustness costs: one run a mark with its interval, named beside it."""
    with theme.style():
        figure = theme.new_figure(WIDE, 2.9)
        axes = figure.subplots()
        for point in points:
            colour, marker = theme.series_colour(point.run), theme.series_marker(point.run)
            # not an error bar: an interval that allows for bias need not hold the estimate
            axes.vlines(point.x, point.lo, point.hi, color=colour, linewidth=1.4)
            axes.plot(point.x, point.y, color=colour, marker=marker, markersize=6.5)
        axes.margins(0.18, 0.16)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        x, y = (np.array(values) for values in ([p.x for p in points], [p.y for p in points]))
        name_points(figure, axes, x, y, [point.label for point in points], 8.5)
        return theme.to_svg(figure, name, label)


def _draw(axes: Axes, line: Line, every: int = 1) -> None:
    colour = theme.series_colour(line.run)
    if line.lo is not None and line.hi is not None:
        axes.fill_between(line.x, line.lo, line.hi, color=colour, alpha=0.13, linewidth=0)
    if line.floor is not None:
        axes.plot(line.x, line.floor, color=colour, linestyle=(0, (1, 1.6)), linewidth=1.2)
    marker = theme.series_marker(line.run)
    axes.plot(line.x, line.y, color=colour, marker=marker, markevery=every)


def _eps_axis(axes: Axes, points: Sequence[float]) -> None:
    """Zero, then the sweep on a logarithmic scale: equal factors of eps are equally far apart."""
    positive = [x for x in points if x > 0]
    if positive:
        axes.set_xscale("symlog", linthresh=positive[0], linscale=0.35)
        axes.set_xticks(points, [theme.tick(1000 * x) for x in points])
        axes.minorticks_off()


def _remark(
    axes: Axes,
    text: str,
    at: tuple[float, float],
    offset: tuple[float, float],
    coordinates: str | tuple[str, str] = "data",
) -> None:
    axes.annotate(
        text,
        at,
        xycoords=coordinates,
        xytext=offset,
        textcoords="offset points",
        color=theme.MUTED,
        fontsize=SMALL,
    )


def _ceiling(lines: Sequence[Line]) -> float:
    tops = [np.nanmax(line.y if line.hi is None else line.hi) for line in lines if len(line.y)]
    return min(1.02, (float(max(tops, default=1.0)) or 1.0) * 1.08)
