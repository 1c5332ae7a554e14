"""Text tables for the measurements."""

from collections.abc import Sequence

import numpy as np

from mmlib.runtime.arrays import Floats


def quartiles(values: Floats, form: str) -> str:
    """Median, and the first and third quartiles as the spread."""
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{form.format(median)} ({form.format(low)} to {form.format(high)})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with its columns in line."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )
