"""Effects with their intervals, as lines of the answer box."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from markupsafe import Markup

from mmlib.metrics.intervals import Interval
from mmlib.report import wording


class Evidence(NamedTuple):
    """What was compared, the effect drawn against zero, and the effect in figures."""

    label: str
    bar: Markup
    text: str


def evidence(
    effects: Mapping[str, Interval], reach: float | None = None, digits: int = 3
) -> list[Evidence]:
    """One line an effect, all drawn on one scale: `reach` to either side of zero."""
    ends = [abs(x) for effect in effects.values() for x in effect if not math.isnan(x)]
    scale = reach or max(ends, default=0.0) or 1.0
    return [
        Evidence(label, whisker(effect, scale), _text(effect, digits))
        for label, effect in effects.items()
    ]


def side(effect: Interval) -> int:
    """1 or -1 where the whole interval lies above or below zero, else 0."""
    return int(effect.lo > 0) - int(effect.hi < 0)


def whisker(effect: Interval, reach: float) -> Markup:
    """An effect and its interval against zero as a small drawing, grey where it holds zero."""
    if any(math.isnan(x) for x in effect):
        return Markup("")
    left, dot, right = (
        f"{50 + 48 * max(-1.0, min(1.0, x / reach)):.2f}"
        for x in (effect.lo, effect.estimate, effect.hi)
    )
    return Markup(
        '<svg class="whisker" viewBox="0 0 100 16" preserveAspectRatio="none" aria-hidden="true">'
        '<line class="zero" x1="50" y1="0" x2="50" y2="16"/>'
        '<line class="span{0}" x1="{1}" y1="8" x2="{3}" y2="8"/>'
        '<line class="dot{0}" x1="{2}" y1="8" x2="{2}" y2="8"/></svg>'
    ).format("" if side(effect) else " open", left, dot, right)


def _text(effect: Interval, digits: int) -> str:
    ends = wording.interval(effect.lo, effect.hi, digits, sign=True)
    return f"{wording.signed(effect.estimate, digits)} ({ends})"
