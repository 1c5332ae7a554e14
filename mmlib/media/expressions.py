"""Long expressions for ffmpeg's filters."""

from collections.abc import Iterable

# So many terms a bracket, and so many brackets.
_TERMS = 40
MOST_TERMS = _TERMS * _TERMS


def any_of(terms: Iterable[str]) -> str:
    """An expression that is true where one of the terms (`MOST_TERMS` at most) is."""
    every = list(terms)
    groups = (every[begin : begin + _TERMS] for begin in range(0, len(every), _TERMS))
    return "+".join(f"({'+'.join(group)})" for group in groups)
