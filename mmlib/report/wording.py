"""Numbers as text: rounded for a reader, aligned in a column, with a true minus sign."""

import math

MISSING = "–"
"""Stands where a value was not measured; figures keep their minus sign, U+2212."""


def number(value: float | None, digits: int = 3) -> str:
    """A fixed number of digits after the point; a dash for None and nan, ∞ for infinity."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return _minus(f"{value:.{digits}f}")


def signed(value: float | None, digits: int = 3) -> str:
    """As `number`, with a plus sign before what is above zero."""
    text = number(value, digits)
    rounds_to_zero = not text.strip("0.−")
    if text == MISSING or rounds_to_zero:
        return text.removeprefix("−")
    return text if text.startswith("−") else f"+{text}"


def interval(lo: float | None, hi: float | None, digits: int = 3, *, sign: bool = False) -> str:
    """The two ends as `lo to hi`; a dash where either is unknown."""
    if lo is None or hi is None or math.isnan(lo) or math.isnan(hi):
        return MISSING
    write = signed if sign else number
    return f"{write(lo, digits)} to {write(hi, digits)}"


def count(value: float | None) -> str:
    """A whole number with thin spaces between thousands."""
    if value is None or math.isnan(value):
        return MISSING
    return f"{round(value):,}".replace(",", "\u202f")


def percent(value: float | None, digits: int = 0) -> str:
    """A share as per cent."""
    text = number(None if value is None else 100 * value, digits)
    return text if text == MISSING else f"{text} %"


def p_value(value: float) -> str:
    """A p value to three digits, or that it is smaller; a dash for nan."""
    return "< 0.001" if value < 0.001 else number(value)


def seconds(value: float | None) -> str:
    """A duration: seconds below two minutes, else minutes or hours."""
    if value is None or math.isnan(value):
        return MISSING
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    if value < 2 * 3600:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.1f} h"


def times(ratio: float | None) -> str:
    """A ratio as `2.5 times`."""
    if ratio is None or math.isnan(ratio) or math.isinf(ratio):
        return MISSING
    return f"{ratio:.1f} times" if ratio < 10 else f"{ratio:.0f} times"


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _minus(text: str) -> str:
    negative = text.startswith("-")
    digits = text.removeprefix("-")
    if negative and digits.strip("0."):
        return f"−{digits}"
    return digits
