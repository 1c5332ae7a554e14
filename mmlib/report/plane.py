"""The drawing of the plane of two budgets."""

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup
from matplotlib.patches import Rectangle

from mmlib.report import theme
from mmlib.report.figures import SMALL, WIDE
from mmlib.runtime.arrays import Array

Table = Mapping[str, Array]


def plane(surface: Table, isodamage: Table, *, run: int, name: str, label: str) -> Markup:
    """mAP by the budgets of audio and video, darker where more remains; lines of equal damage."""
    axis = np.unique(surface["eps_audio"])
    places = np.arange(len(axis))
    with theme.style():
        figure = theme.new_figure(WIDE, 3.6)
        axes = figure.subplots()
        colour, top = theme.series_colour(run), float(np.nanmax(surface["mAP"])) or 1.0
        for eps_audio, eps_video, value in zip(
            surface["eps_audio"], surface["eps_video"], surface["mAP"], strict=True
        ):
            at = np.interp([eps_audio, eps_video], axis, places)
            corner = (at[0] - 0.5, at[1] - 0.5)
            shade = 0.08 + 0.5 * float(value) / top
            axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, alpha=shade, linewidth=0))
            axes.text(
                float(at[0]), float(at[1]), f"{value:.3f}", ha="center", va="center", fontsize=SMALL
            )
        for kept in np.unique(isodamage["kept"])[::-1] if isodamage else ():
            rows = isodamage["kept"] == kept
            x, y = (
                np.interp(isodamage[f"eps_{m}"][rows], axis, places) for m in ("audio", "video")
            )
            axes.plot(x, y, color=theme.INK, linewidth=1.1)
            axes.annotate(
                f"{kept:.0%}",
                (float(x[0]), float(y[0])),
                xytext=(3, 3),
                textcoords="offset points",
                fontsize=SMALL,
                color=theme.MUTED,
            )
        ticks = [theme.tick(value) for value in axis]
        axes.set_xticks(places, ticks)
        axes.set_yticks(places, ticks)
        axes.set_xlim(-0.5, len(axis) - 0.5)
        axes.set_ylim(-0.5, len(axis) - 0.5)
        axes.grid(visible=False)
        axes.set_xlabel("audio budget, share of full scale")
        axes.set_ylabel("video budget, share of full scale")
        return theme.to_svg(figure, name, label)
