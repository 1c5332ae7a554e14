"""Rows of many labels, a few at a time.

A product of labels takes their bytes as float64, eight times what they are: of a large set with
many classes that is gigabytes.
"""

from collections.abc import Iterator

_ROWS = 4096


def row_blocks(count: int) -> Iterator[slice]:
    """Yield `count` rows as slices, in order; at least one slice, which is empty without rows."""
    return (slice(first, first + _ROWS) for first in range(0, max(1, count), _ROWS))
