"""What was decided about every clip: the ledger's rows, counts, and lines for people."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmlib.params.shard import Shard
from mmlib.runtime.parquet import read_parquet
from mmlib.runtime.storage import write_csv
from mmlib.shards.make.leaks.audit import (
    KINDS,
    PARAMS,
)
from mmlib.shards.make.manifest import SplitFacts
from mmlib.shards.make.selection import (
    REASONS,
    Selection,
    leak_text,
)
from mmlib.shards.rows.clips import (
    FAILED,
    SPLITS,
)
from mmlib.shards.rows.damage import COLUMNS, Damage
from mmlib.shards.rows.ledger import DROPPED
from mmlib.shards.rows.tally import Ledger

LEAKS_NAME = "leaks.csv"
LEAK_HEADS = ("kind", "distance", "group", "clip_id", "split", "later_clip_id", "later_split")


def ledger_tables(selection: Selection) -> Iterator[pa.Table]:
    """The surveys with what was decided, a file at a time: the ledger's rows."""
    listed = selection.listed
    begin = 0
    for path, end in zip(listed.surveys, listed.ends.tolist(), strict=True):
        table = read_parquet(path)
        dropped = np.flatnonzero(listed.ok[begin:end] & (selection.reasons[begin:end] > 0))
        if len(dropped):
            columns = {n: table[n].to_pylist() for n in ("status", "stage", "error", "message")}
            for row in dropped.tolist():
                reason = REASONS[selection.reasons[begin + row]]
                columns["status"][row], columns["stage"][row] = DROPPED, "shard"
                columns["error"][row] = reason
                columns["message"][row] = _message(selection, begin + row, reason)
            for name, values in columns.items():
                place = table.schema.get_field_index(name)
                table = table.set_column(place, table.schema.field(place), pa.array(values, "utf8"))
        yield table
        begin = end


def _message(selection: Selection, place: int, reason: str) -> str:
    leaks = selection.leaks
    for pair in range(int(np.searchsorted(leaks.earlier, place)), len(leaks.earlier)):
        if reason == f"leak_{PARAMS[leaks.kinds[pair]]}":
            return leak_text(selection.listed, leaks, pair)
    if reason == "untrained_class":
        return "its class has no usable clip in split train (shard.untrained_classes=drop)"
    track = "sound" if reason == "no_audio" else "picture"
    return f"it has no {track} (shard.missing_modality=drop)"


def split_facts(selection: Selection, failed: Mapping[str, Counter[str]]) -> dict[str, SplitFacts]:
    """What became of each split's clips; `failed` counts failures by split and error."""
    listed, kept = selection.listed, selection.kept
    found = {}
    for place, split in enumerate(SPLITS):
        here = listed.splits == place
        inside = here & kept
        dropped = selection.reasons[here & listed.ok]
        found[split] = SplitFacts(
            requested=int(here.sum()),
            clip_ids=listed.clip_ids.filter(pa.array(inside)).to_pylist(),
            failed=failed[split],
            dropped=Counter(REASONS[reason] for reason in dropped[dropped > 0].tolist()),
            without_audio=int((inside & ~listed.present["audio"]).sum()),
            without_video=int((inside & ~listed.present["video"]).sum()),
        )
    return found


def failures(selection: Selection) -> tuple[dict[str, Counter[str]], dict[str, str]]:
    """Failed clips by split and error, and one line about the first of each error."""
    counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    examples: dict[str, str] = {}
    for path in selection.listed.surveys:
        table = read_parquet(path, ["clip_id", "split", "status", "error", "message"])
        for row in table.filter(pc.equal(table["status"], FAILED)).to_pylist():
            counts[row["split"]][row["error"]] += 1
            examples.setdefault(row["error"], f"{row['clip_id']}: {row['message']}")
    return counts, examples


def damage_of(selection: Selection) -> Damage:
    """The damaged ones among the clips of the shards."""
    found, begin = Damage(), 0
    for path, end in zip(selection.listed.surveys, selection.listed.ends.tolist(), strict=True):
        table = read_parquet(path, list(COLUMNS)).filter(pa.array(selection.kept[begin:end]))
        found.add(table.filter(pc.greater(pc.list_value_length(table["damage"]), 0)).to_pylist())
        begin = end
    return found


def count(
    selection: Selection,
    facts_of: Mapping[str, SplitFacts],
    examples: dict[str, str],
    damage: Damage,
) -> Ledger:
    """The counts that the stage prints; `facts_of` maps splits to their facts.

    `examples` has a line about the first failure of each error; the ledger takes it over.
    """
    ledger = Ledger(warnings=list(selection.warnings), examples=examples, damage=damage)
    for split, facts in facts_of.items():
        ledger.rows[split] = facts.requested
        ledger.usable[split] = len(facts.clip_ids)
        ledger.positives[split] = selection.positives(split)
        ledger.failures += facts.failed
        ledger.dropped += facts.dropped
        ledger.without["audio"] += facts.without_audio
        ledger.without["video"] += facts.without_video
    for code, reason in enumerate(REASONS):
        places = np.flatnonzero(selection.listed.ok & (selection.reasons == code))
        if code and len(places):
            name = selection.listed.clip_ids[int(places[0])]
            message = _message(selection, int(places[0]), reason)
            ledger.examples[reason] = f"{name}: {message}"
    return ledger


def leak_facts(selection: Selection, settings: Shard) -> dict[str, Any]:
    """For the manifest: pairs, clips and groups of each kind of leak, and what was done."""
    leaks = selection.leaks
    groups = leaks.groups(len(selection.listed.ok))
    found = {}
    for kind, name in enumerate(KINDS):
        pairs = leaks.kinds == kind
        found[name] = {
            "pairs": int(pairs.sum()),
            "clips": len(np.unique(leaks.earlier[pairs])),
            "groups": len(np.unique(groups[pairs])),
            "action": getattr(settings.leaks, PARAMS[kind]),
        }
    return {"leaks": found}


def write_leaks(path: Path, selection: Selection) -> None:
    """Write a row a pair: its kind, distance and group, then id and split of both clips."""
    leaks, listed = selection.leaks, selection.listed
    groups = leaks.groups(len(listed.ok))

    def row(pair: int) -> tuple[object, ...]:
        ends = (int(leaks.earlier[pair]), int(leaks.later[pair]))
        one, two = ((str(listed.clip_ids[end]), SPLITS[listed.splits[end]]) for end in ends)
        distance = f"{leaks.distances[pair]:.3f}"
        return KINDS[leaks.kinds[pair]], distance, groups[pair], *one, *two

    write_csv(path, LEAK_HEADS, map(row, range(len(leaks.kinds))))
