"""What a section is made of; the template has one branch for each kind of block."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from mmlib.report.inputs import Run


class Block(NamedTuple):
    """One piece of a section: `kind` picks the template's branch, `extra` is its second value."""

    kind: str
    body: Any
    extra: Any = ""


class Section(NamedTuple):
    """A heading with an anchor, and what stands under it."""

    id: str
    title: str
    blocks: Sequence[Block]


class Panel(NamedTuple):
    """A drawing with its heading, and what to read off it."""

    title: str
    svg: Markup
    note: str = ""


class Entry(NamedTuple):
    """A run in a legend."""

    run: int
    name: str


def legend(runs: Sequence[Run], *extra: tuple[str, Markup]) -> Block:
    """The runs' marks and names, then other marks with what they stand for."""
    return Block("legend", [Entry(run.index, run.name) for run in runs], extra)


def rule(colour: str, dashes: str = "") -> Markup:
    """A line of a legend, 20 × 12 units; `colour` is a CSS variable's name."""
    return Markup(
        '<line x1="0" y1="6" x2="20" y2="6" stroke="var(--{})" stroke-width="1.6"'
        ' stroke-dasharray="{}"/>'
    ).format(colour, dashes)


def patch(colour: str) -> Markup:
    """A filled area of a legend; `colour` is a CSS variable's name."""
    return Markup('<rect x="3" y="1" width="14" height="10" fill="var(--{})"/>').format(colour)
