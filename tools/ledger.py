"""`make ledger`: what became of the clips, from data/shards/ledger.parquet.

`python -m tools.ledger` counts by split, stage and error, with an example of each;
`--error timeout` lists the clips of one class of error, `--split eval` keeps to one split.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmlib.runtime import stage
from mmlib.shards.rows.clips import (
    OK,
    SPLITS,
)
from mmlib.shards.rows.ledger import (
    LEDGER_NAME,
    read_rows,
)

LEDGER = Path("data/shards") / LEDGER_NAME
COLUMNS = ("clip_id", "split", "status", "stage", "error", "message")


def main(arguments: Sequence[str]) -> None:
    """Print the account, or the clips of one class of error."""
    parser = argparse.ArgumentParser(prog="python -m tools.ledger", description=__doc__)
    parser.add_argument("--error", help="list the clips of this class of error")
    parser.add_argument("--split", choices=SPLITS)
    parser.add_argument("--ledger", type=Path, default=LEDGER)
    chosen = parser.parse_args(arguments)
    if chosen.error:
        for line in listing(chosen.ledger, chosen.error, chosen.split):
            print(line)
    else:
        print("\n".join(account(chosen.ledger, chosen.split)))


def account(ledger: Path, split: str | None = None) -> list[str]:
    """A line a split, status, stage and error: the count, then the first clip with its message."""
    counts: Counter[tuple[str, ...]] = Counter()
    examples: dict[tuple[str, ...], str] = {}
    for table in read_rows(ledger, COLUMNS, split):
        for row in table.to_pylist():
            key = tuple(row[name] or "" for name in COLUMNS[1:5])
            counts[key] += 1
            if row["status"] != OK:
                examples.setdefault(key, f"{row['clip_id']}: {row['message']}")
    lines = [f"{'split':6}{'status':9}{'stage':10}{'error':24}{'clips':>9}  the first"]
    for key in sorted(counts, key=lambda found: (SPLITS.index(found[0]), -counts[found])):
        cells = "".join(cell.ljust(width) for cell, width in zip(key, (6, 9, 10, 24), strict=True))
        lines.append(f"{cells}{counts[key]:9}  {examples.get(key, '')}".rstrip())
    return lines


def listing(ledger: Path, error: str, split: str | None = None) -> list[str]:
    """`split,clip_id,message` of every clip of one class of error."""
    return [
        f"{row['split']},{row['clip_id']},{row['message']}"
        for table in read_rows(ledger, COLUMNS, split)
        for row in table.to_pylist()
        if row["error"] == error
    ]


if __name__ == "__main__":
    stage.run(main, check=False)
