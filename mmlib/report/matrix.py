"""The drawing of a matrix of runs against runs."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup
from matplotlib.patches import Rectangle

from mmlib.report import theme
from mmlib.report.figures import SMALL, WIDE


def matrix(
    values: Mapping[tuple[str, str], float],
    top: Mapping[str, float],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    name: str,
    label: str,
) -> Markup:
    """A number in each cell, (row, column) -> value; darker where more of the column's top is gone.

    A cell without a value stays blank; those whose row and column are one run have a frame.
    """
    with theme.style():
        figure = theme.new_figure(WIDE, 0.9 + 0.36 * len(rows))
        axes = figure.subplots()
        for down, row in enumerate(rows):
            for across, column in enumerate(columns):
                value = values.get((row, column))
                if value is None:
                    continue
                gone = 1 - value / top[column] if top[column] else 0.0
                corner = (across - 0.5, down - 0.5)
                shade = 0.05 + 0.55 * min(max(gone, 0.0), 1.0)
                own = row == column
                axes.add_patch(
                    Rectangle(corner, 1, 1, facecolor=theme.series_colour(0), alpha=shade, lw=0)
                )
                if own:
                    axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=theme.INK, lw=0.9))
                axes.text(across, down, f"{value:.3f}", ha="center", va="center", fontsize=SMALL)
        axes.set_xticks(range(len(columns)), columns, rotation=30 if len(columns) > 4 else 0)
        axes.set_yticks(range(len(rows)), rows)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False)
        axes.set_xlabel("played to")
        axes.set_ylabel("made for")
        return theme.to_svg(figure, name, label)
