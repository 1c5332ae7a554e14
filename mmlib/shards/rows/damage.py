"""Usable clips whose media are damaged, counted by the kinds of damage."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mmlib.shards.rows.clips import DAMAGED, OK

COLUMNS = ("clip_id", "split", "status", "message", "damage")
"""What is needed of a decoded row, or of the ledger's."""
_EXAMPLES = 3


@dataclass
class Damage:
    """Damaged clips a split, and a kind: a clip counts for each of its kinds.

    `examples` has the first three clips of each kind, with what is wrong in words.
    """

    splits: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    examples: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Count rows of COLUMNS; those of clips that are whole, failed or dropped are passed by."""
        for row in rows:
            if row["status"] != OK or not row["damage"]:
                continue
            self.splits[row["split"]] += 1
            for kind in row["damage"]:
                self.kinds[kind][row["split"]] += 1
                if len(self.examples[kind]) < _EXAMPLES:
                    said = (row["message"] or "").removeprefix(DAMAGED)
                    self.examples[kind][row["clip_id"]] = said

    def by_kind(self) -> list[tuple[str, int, dict[str, str]]]:
        """Name, clips and examples of each kind; the most frequent first."""
        found = [(kind, counts.total(), self.examples[kind]) for kind, counts in self.kinds.items()]
        return sorted(found, key=lambda one: (-one[1], one[0]))

    def lines(self) -> list[str]:
        """The counts for a person: all damaged clips, then each kind with its examples."""
        if not self.splits:
            return []
        lines = [f"{self.splits.total()} damaged, used as far as they decode"]
        for kind, clips, examples in self.by_kind():
            lines.append(f"  {clips} {kind}")
            lines += [f"    {clip_id}: {said}" for clip_id, said in examples.items()]
        return lines
