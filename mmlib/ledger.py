"""What became of every clip: counts over the rows of a stage, payloads unread."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmlib.clips import FAILED, SPLITS, read_columns
from mmlib.errors import UserError

DAMAGED = "damaged: "
_COLUMNS = ("clip_id", "split", "labels", "status", "error", "message", "sha256")


@dataclass
class Ledger:
    """Counts of rows, and of usable ones, a split; of usable clips a class; of failures an error.

    `examples` has one line about the first failure of each error; `damaged` counts usable clips
    with damage.
    """

    rows: Counter[str] = field(default_factory=Counter)
    usable: Counter[str] = field(default_factory=Counter)
    positives: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    damaged: int = 0
    warnings: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The counts for a person: one line a split, then one a class of error."""
        lines = [
            f"{split}: {self.usable[split]} of {self.rows[split]} clips"
            for split in SPLITS
            if self.rows[split]
        ]
        for error, count in self.failures.most_common():
            lines.append(f"{count} failed, {error}; the first: {self.examples[error]}")
        if self.damaged:
            lines.append(f"{self.damaged} damaged, used as far as they decode")
        return lines + [f"warning: {warning}" for warning in self.warnings]


def read_ledger(shards: Sequence[Path]) -> Ledger:
    """Count the rows of the shards, which are given in the order of the splits."""
    ledger = Ledger()
    split_of: dict[bytes, str] = {}
    repeated: list[str] = []
    for shard in shards:
        for row in read_columns(shard, _COLUMNS):
            split, error = row["split"], row["error"]
            ledger.rows[split] += 1
            if row["status"] == FAILED:
                ledger.failures[error] += 1
                ledger.examples.setdefault(error, f"{row['clip_id']}: {row['message']}")
                continue
            ledger.usable[split] += 1
            ledger.positives[split].update(row["labels"])
            ledger.damaged += (row["message"] or "").startswith(DAMAGED)
            if split_of.setdefault(bytes.fromhex(row["sha256"]), split) != split:
                repeated.append(row["clip_id"])
    if repeated:
        ledger.warnings.append(
            f"{len(repeated)} clips are byte for byte in an earlier split too, such as "
            f"{repeated[0]}: scores on them mean little"
        )
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
