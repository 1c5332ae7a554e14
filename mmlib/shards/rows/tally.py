"""What became of every clip: counts over the rows of a stage, payloads unread."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmlib.runtime.errors import UserError
from mmlib.runtime.parquet import Reader
from mmlib.shards.rows import damage
from mmlib.shards.rows.clips import (
    FAILED,
    SPLITS,
    read_columns,
)
from mmlib.shards.rows.damage import Damage

_COLUMNS = ("clip_id", "split", "labels", "status", "error", "message")


@dataclass
class Ledger:
    """Counts of rows, and of usable ones, a split; of usable clips a class; of failures an error.

    `dropped` counts decoded clips that params leave out, by reason; `examples` has one line about
    the first of each error and reason; `damage` counts usable clips with damage, `without` those
    that lack a track, by modality.
    """

    rows: Counter[str] = field(default_factory=Counter)
    usable: Counter[str] = field(default_factory=Counter)
    positives: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    failures: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    damage: Damage = field(default_factory=Damage)
    without: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The counts for a person: one line a split, then one a class of error."""
        lines = [
            f"{split}: {self.usable[split]} of {self.rows[split]} clips"
            for split in SPLITS
            if self.rows[split]
        ]
        for verb, counts in (("failed", self.failures), ("dropped", self.dropped)):
            for error, count in counts.most_common():
                lines.append(f"{count} {verb}, {error}; the first: {self.examples[error]}")
        lines += self.damage.lines()
        for modality, count in self.without.items():
            if count:
                lines.append(f"{count} without {modality}, kept and marked so")
        return lines + [f"warning: {warning}" for warning in self.warnings]


def read_ledger(shards: Sequence[Path]) -> Ledger:
    """Count the rows of the shards, which are given in the order of the splits."""
    ledger = Ledger()
    for shard in shards:
        if "damage" in Reader(shard).schema.names:
            ledger.damage.add(read_columns(shard, damage.COLUMNS))
        for row in read_columns(shard, _COLUMNS):
            split, error = row["split"], row["error"]
            ledger.rows[split] += 1
            if row["status"] == FAILED:
                ledger.failures[error] += 1
                ledger.examples.setdefault(error, f"{row['clip_id']}: {row['message']}")
                continue
            ledger.usable[split] += 1
            ledger.positives[split].update(row["labels"])
    return ledger


def check_failures(
    failures: Counter[str], examples: dict[str, str], tried: int, largest: float, param: str
) -> None:
    """UserError when more than the share `largest` of the clips that were tried failed."""
    failed = failures.total()
    if failed > largest * tried:
        counts = ", ".join(f"{error} {count}" for error, count in failures.most_common())
        example = examples[failures.most_common(1)[0][0]]
        raise UserError(
            f"{failed} of {tried} clips failed ({counts}), more than {param}={largest:g} allows; "
            f"for example {example}; mend them, or raise {param}"
        )
