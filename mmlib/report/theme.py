"""Colours and the way from a matplotlib figure to an inline SVG that follows the page's scheme.

matplotlib draws with place-holder colours; the SVG names CSS variables instead, so that one drawing
serves the light and the dark scheme. Each run has one colour and one marker everywhere.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

# Distinct under the three common colour-vision deficiencies and at least 3:1 against the page; the
# order matters, since the first six are the farthest apart [choice].
LIGHT = ("#2458C6", "#C2412B", "#1A9A7E", "#A52C96", "#CC7F00", "#2B2B33", "#5B86F0", "#71496F")
DARK = ("#5B93FF", "#EB6B3A", "#5CE8A0", "#CF6BAC", "#F5CE2B", "#ECECF1", "#6AC6F0", "#B5805F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")

INK = "#0a00f0"
MUTED = "#0a00f1"
RULE = "#0a00f2"
PAPER = "#0a00f3"
_NAMED = {"f0": "ink", "f1": "muted", "f2": "rule", "f3": "paper"}

_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 8.5,
    "text.color": INK,
    # a class may be called "Cash $ register $": that is no formula
    "text.parse_math": False,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "lines.linewidth": 1.7,
    "lines.markersize": 4.5,
    "lines.solid_capstyle": "round",
}


def series_colour(index: int) -> str:
    """The place-holder colour of the run at this place of params.yaml; wraps after eight."""
    return f"#0a00{index % len(LIGHT):02x}"


def tick(value: float) -> str:
    """A number beside an axis: three digits, without the 0 before a point."""
    return f"{value:.3g}".removeprefix("0") or "0"


def series_marker(index: int) -> str:
    """The matplotlib marker of the run at this place of params.yaml; wraps after eight."""
    return MARKERS[index % len(MARKERS)]


def css_variables() -> tuple[str, str]:
    """The declarations of the series colours for the light and for the dark scheme."""
    light = " ".join(f"--c{index}: {colour};" for index, colour in enumerate(LIGHT))
    dark = " ".join(f"--c{index}: {colour};" for index, colour in enumerate(DARK))
    return light, dark


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, made within `style`; sizes in inches, 72 units of the drawing each."""
    return Figure(figsize=(width, height), layout="constrained")


@contextmanager
def style() -> Iterator[None]:
    """Context in which axes must be made and drawn, so that the page's style holds."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # The browser's fonts draw the text; a letter that ours lacks is only measured wrongly.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def to_svg(figure: Figure, name: str, label: str) -> Markup:
    """Draw the figure as one inline `<svg>`: scalable, themed, the same bytes every time.

    Call it within `style`. `name` keeps the drawing's ids apart from those of the page's other
    drawings; `label` is what a screen reader says.
    """
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style)\b.*?</\1>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\b(id|xlink:href|href)="(#?)', rf'\1="\2{name}-', text)
    text = text.replace("url(#", f"url(#{name}-").replace("xlink:href", "href")
    text = re.sub(r"#0a00([0-9a-f]{2})", _variable, text)
    text = text.replace("'DejaVu Sans'", "var(--sans)")
    head, body = text.split(">", 1)
    box = re.search(r'viewBox="[^"]+"', head)
    opening = f'<svg {box.group()} role="img" ' if box else '<svg role="img" '
    return Markup(f'{opening}aria-label="{escape(label)}" class="figure">{body}'.rstrip())


def _variable(match: re.Match[str]) -> str:
    code = match.group(1)
    return f"var(--{_NAMED[code]})" if code in _NAMED else f"var(--c{int(code, 16)})"
