"""The report's drawings: plain numbers in, one inline SVG out; a run keeps its colour and marker.

Every panel is a drawing of its own, so that the page sets them side by side or one below another.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mmlib.report import theme

Floats = NDArray[np.float64]


class Line(NamedTuple):
    """A curve: its run's place in params.runs, x, y; where known the band and the noise floor."""

    run: int
    x: Floats
    y: Floats
    lo: Floats | None = None
    hi: Floats | None = None
    floor: Floats | None = None
    dashed: bool = False


class Point(NamedTuple):
    """One run's place in the trade-off: x, then y with its interval."""

    run: int
    label: str
    x: float
    y: float
    lo: float
    hi: float


def robustness(
    lines: Sequence[Line], *, headline: float, chance: float | None, name: str, label: str
) -> Markup:
    """mAP against eps for one threat: bands, equal-norm noise (dotted), chance and headline."""
    with theme.style():
        figure, axes = _panel(height=2.9)
        for line in lines:
            _draw_line(axes, line)
        points = sorted({float(x) for line in lines for x in line.x})
        _eps_axis(axes, points)
        axes.axvline(headline, color=theme.MUTED, linewidth=0.8, zorder=0)
        axes.annotate(
            "headline",
            (headline, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, -8),
            textcoords="offset points",
            color=theme.MUTED,
            fontsize=7.5,
        )
        if chance is not None:
            _level(axes, chance, "chance", points[0])
        axes.set_ylim(0, _ceiling(lines))
        axes.set_ylabel("mAP")
        axes.set_xlabel("budget ε, share of full scale")
        return theme.to_svg(figure, name, label)


def training(lines: Sequence[Line], *, y_label: str, name: str, label: str) -> Markup:
    """One quantity against the epoch, a line a run; dashed lines are the training split."""
    with theme.style():
        figure, axes = _panel(height=2.7)
        for line in lines:
            _draw_line(axes, line, every=max(1, len(line.x) // 8))
        axes.set_xlabel("epoch")
        axes.set_ylabel(y_label)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
        return theme.to_svg(figure, name, label)


def scatter(
    x: Floats,
    y: Floats,
    names: Sequence[str],
    *,
    index: int,
    x_label: str,
    y_label: str,
    name: str,
    label: str,
) -> Markup:
    """One dot a class with its least-squares trend line; up to 16 dots carry their class's name."""
    with theme.style():
        figure, axes = _panel(height=3.0)
        colour = theme.series_colour(index)
        axes.scatter(
            x, y, s=24, color=colour, marker=theme.series_marker(index), linewidth=0, zorder=3
        )
        if len(x) >= 3 and np.ptp(x) > 0:
            slope, offset = np.polyfit(x, y, 1)
            ends = np.array([x.min(), x.max()])
            axes.plot(ends, offset + slope * ends, color=colour, alpha=0.65, linewidth=1.3)
        axes.margins(0.12, 0.1)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        _name_points(figure, axes, x, y, names)
        return theme.to_svg(figure, name, label)


def trade_off(
    points: Sequence[Point], *, x_label: str, y_label: str, name: str, label: str
) -> Markup:
    """What robustness costs: one run a mark with its interval upward, named beside it."""
    with theme.style():
        figure, axes = _panel(height=3.0)
        for point in points:
            colour = theme.series_colour(point.run)
            marker = theme.series_marker(point.run)
            spread = [[point.y - point.lo], [point.hi - point.y]]
            axes.errorbar(
                [point.x],
                [point.y],
                yerr=spread,
                color=colour,
                marker=marker,
                markersize=6.5,
                elinewidth=1.4,
                linestyle="none",
            )
        axes.margins(0.18, 0.16)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        xs = np.array([point.x for point in points])
        ys = np.array([point.y for point in points])
        _name_points(figure, axes, xs, ys, [point.label for point in points], size=8.5)
        return theme.to_svg(figure, name, label)


def weights(
    groups: Mapping[str, Mapping[str, float]], heads: Sequence[str], *, name: str
) -> Markup:
    """Weight of each head, one bar a source of weights; the first source is ours."""
    with theme.style():
        figure, axes = _panel(height=2.0)
        shades = (theme.series_colour(0), theme.MUTED, theme.series_colour(4))
        height = 0.8 / len(groups)
        for place, (source, values) in enumerate(groups.items()):
            y = np.arange(len(heads)) + place * height
            widths = [values.get(head, 0.0) for head in heads]
            bars = axes.barh(y, widths, height * 0.86, color=shades[place % 3], label=source)
            axes.bar_label(bars, [f"{w:.3f}" for w in widths], padding=3, fontsize=7.5)
        axes.set_yticks(np.arange(len(heads)) + 0.4 - height / 2, list(heads))
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.16)
        axes.set_xlabel("weight of the head's loss")
        return theme.to_svg(figure, name, "Gradient-Blending weights: " + ", ".join(groups))


def _panel(height: float) -> tuple[Figure, Axes]:
    figure = theme.new_figure(height=height)
    return figure, figure.subplots()


def _draw_line(axes: Axes, line: Line, every: int = 1) -> None:
    colour = theme.series_colour(line.run)
    if line.lo is not None and line.hi is not None:
        axes.fill_between(line.x, line.lo, line.hi, color=colour, alpha=0.13, linewidth=0)
    if line.floor is not None:
        axes.plot(line.x, line.floor, color=colour, linestyle=(0, (1, 1.6)), linewidth=1.2)
    axes.plot(
        line.x,
        line.y,
        color=colour,
        marker=None if line.dashed else theme.series_marker(line.run),
        linestyle=(0, (4, 2)) if line.dashed else "-",
        linewidth=1.1 if line.dashed else 1.7,
        markevery=every,
    )


def _eps_axis(axes: Axes, points: Sequence[float]) -> None:
    """Zero, then the sweep on a logarithmic scale: equal factors of eps are equally far apart."""
    positive = [x for x in points if x > 0]
    if not positive:
        return
    axes.set_xscale("symlog", linthresh=positive[0], linscale=0.35)
    axes.set_xticks(points, [f"{x:.3g}".removeprefix("0") or "0" for x in points])
    axes.minorticks_off()


def _level(axes: Axes, value: float, text: str, x: float) -> None:
    axes.axhline(value, color=theme.MUTED, linewidth=0.9, linestyle=(0, (5, 3)), zorder=0)
    axes.annotate(
        text,
        (x, value),
        xytext=(-6, -9),
        textcoords="offset points",
        color=theme.MUTED,
        fontsize=7.5,
    )


def _ceiling(lines: Sequence[Line]) -> float:
    tops = [np.nanmax(line.y if line.hi is None else line.hi) for line in lines if len(line.y)]
    return min(1.02, float(max(tops, default=1.0)) * 1.08)


def _name_points(
    figure: Figure,
    axes: Axes,
    x: Floats,
    y: Floats,
    names: Sequence[str],
    size: float = 7.5,
    most: int = 16,
) -> None:
    """Write names beside the dots, each at the first of eight places that is still free."""
    if len(names) > most:
        far = np.abs(x - np.mean(x)) / (np.std(x) or 1) + np.abs(y - np.mean(y)) / (np.std(y) or 1)
        chosen = sorted(np.argsort(-far, kind="stable")[:8].tolist())
    else:
        chosen = list(range(len(names)))
    figure.draw_without_rendering()
    dots = axes.transData.transform(np.column_stack([x, y]))
    scale = figure.dpi / 72
    frame = axes.bbox
    taken = [(px - 4 * scale, py - 4 * scale, px + 4 * scale, py + 4 * scale) for px, py in dots]
    places = [(6, -3), (-6, -3), (0, 6), (0, -12), (6, 4), (-6, 4), (6, -10), (-6, -10)]
    for i in chosen:
        width, height = len(names[i]) * size * 0.62 * scale, size * 1.2 * scale
        for dx, dy in places:
            left = dots[i][0] + dx * scale - (width if dx < 0 else width / 2 if dx == 0 else 0)
            base = dots[i][1] + dy * scale
            box = (left, base, left + width, base + height)
            inside = frame.x0 <= box[0] and box[2] <= frame.x1 and frame.y0 <= base
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                axes.annotate(
                    names[i],
                    (x[i], y[i]),
                    xytext=(dx, dy),
                    textcoords="offset points",
                    ha="right" if dx < 0 else "center" if dx == 0 else "left",
                    fontsize=size,
                    color=theme.INK,
                )
                break


Box = tuple[float, float, float, float]


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
