"""`make ledger`: what became of the clips, from data/shards/ledger.parquet.

`python -m tools.ledger` counts by split, stage and error, with an example of each, then the damaged
clips among those that are used, by kind of damage, with three examples of each; `--error timeout`
lists the clips of one class of error, `--damage cut_short` those of one kind of damage,
`--split eval` keeps to one split.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmlib.runtime import stage
from mmlib.runtime.paths import with_home
from mmlib.shards.rows.clips import (
    OK,
    SPLITS,
)
from mmlib.shards.rows.damage import Damage
from mmlib.shards.rows.ledger import (
    LEDGER_NAME,
    read_rows,
)

LEDGER = Path("data/shards") / LEDGER_NAME
COLUMNS = ("clip_id", "split", "status", "stage", "error", "message", "damage")


def main(arguments: Sequence[str]) -> None:
    """Print the account, or the clips of one class of error or of one kind of damage."""
    parser = argparse.ArgumentParser(prog="python -m tools.ledger", description=__doc__)
    parser.add_argument("--error", help="list the clips of this class of error")
    parser.add_argument("--damage", help="list the clips with this kind of damage")
    parser.add_argument("--split", choices=SPLITS)
    parser.add_argument("--ledger", type=with_home, default=LEDGER)
    chosen = parser.parse_args(arguments)
    if chosen.error:
        lines = listing(chosen.ledger, lambda row: row["error"] == chosen.error, chosen.split)
    elif chosen.damage:
        lines = listing(chosen.ledger, lambda row: chosen.damage in row["damage"], chosen.split)
    else:
        lines = account(chosen.ledger, chosen.split)
    for line in lines:
        print(line)


def account(ledger: Path, split: str | None = None) -> list[str]:
    """A line a split, status, stage and error: the count, then the first clip with its message.

    Then the damaged clips among those that are used, by kind.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    examples: dict[tuple[str, ...], str] = {}
    damage = Damage()
    for table in read_rows(ledger, COLUMNS, split):
        rows = table.to_pylist()
        damage.add(rows)
        for row in rows:
            key = tuple(row[name] or "" for name in COLUMNS[1:5])
            counts[key] += 1
            if row["status"] != OK:
                examples.setdefault(key, f"{row['clip_id']}: {row['message']}")
    lines = [f"{'split':6}{'status':9}{'stage':10}{'error':24}{'clips':>9}  the first"]
    for key in sorted(counts, key=lambda found: (SPLITS.index(found[0]), -counts[found])):
        cells = "".join(cell.ljust(width) for cell, width in zip(key, (6, 9, 10, 24), strict=True))
        lines.append(f"{cells}{counts[key]:9}  {examples.get(key, '')}".rstrip())
    return lines + damage.lines()


def listing(
    ledger: Path, chosen: Callable[[Mapping[str, Any]], bool], split: str | None = None
) -> list[str]:
    """`split,clip_id,message` of every chosen clip."""
    return [
        f"{row['split']},{row['clip_id']},{row['message']}"
        for table in read_rows(ledger, COLUMNS, split)
        for row in table.to_pylist()
        if chosen(row)
    ]


if __name__ == "__main__":
    stage.run(main, check=False)
