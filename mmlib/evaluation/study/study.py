"""A row of the study: every seed of it, kept through a kill, published as two tables."""

import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmlib.evaluation.study import member
from mmlib.evaluation.study.table import cells, on_val
from mmlib.params.study import StudySettings
from mmlib.runtime.parquet import write_table
from mmlib.runtime.phases import Phase
from mmlib.runtime.pieces import finish
from mmlib.runtime.scratch import (
    Scratch,
    fingerprint,
    publish_csv,
    publish_file,
    publish_text,
)
from mmlib.runtime.sealed import json_text
from mmlib.runtime.storage import read_json, records_csv

Piece = Mapping[str, Any]


def run_row(name: str, settings: StudySettings, data: Path, out: Path) -> None:
    """Train, attack and score the row under every seed; write `out`/<name>.csv and .parquet.

    The csv has one line per seed and condition, with the costs of the seed's training; the Parquet
    file mAP's pseudo-values, one a recording, in a row per seed and threat at the headline budget.
    A stopped row goes on from its last finished epoch or chunk of clips.
    """
    row, models = settings.row, data / "models"
    table = settings.table if name in settings.table.rows else None
    mark = fingerprint(
        settings.seed,
        settings.model,
        *settings.learning.marks,
        row,
        settings.start,
        member.headline(settings.attack),
        settings.score,
        table,
        data / f"guides/{row.guide}.json",
        data / "shards/manifest.json",
        models / f"{row.init}.safetensors",
        models / f"{row.init}.json",
    )
    scratch = Scratch(f"study-{name}", mark)
    seeds = range(settings.seed, settings.seed + settings.seeds)
    phase = Phase(seeds, lambda place: scratch.has(f"{seeds[place]}.json"))
    member_of = partial(_member, name, settings, data, scratch, table is not None)
    finish(member_of, [phase], scratch, label=f"study {name}", whole=True, device=True)
    pieces = [read_json(scratch.path(f"{seed}.json")) for seed in seeds]
    publish_csv(_csv(pieces), out / f"{name}.csv")
    publish_file(lambda path: _write_pseudo(path, pieces), out / f"{name}.parquet")
    scratch.finish()


def _member(
    name: str, settings: StudySettings, data: Path, scratch: Scratch, has_table: bool, seed: int
) -> None:
    row = settings.row
    fitted = member.fit(row, settings, data, name=f"study-{name}-{seed}", seed=seed)
    lines, pseudo = member.score(fitted, settings, data, scratch, f"{name}-{seed}")
    if has_table and seed == settings.seed:
        lines += cells(scratch.path(f"{name}-{seed}"), settings, data, scratch)
    lines.append(on_val(scratch.path(f"{name}-{seed}"), settings, data, scratch))
    costs = fitted.history.costs.as_dict()
    figures = ", ".join(
        f"{line['threat']} {line['mAP']:.3f}" for line in lines if line["part"] == "headline"
    )
    print(f"{name}, seed {seed}: mAP {figures}; {costs['seconds']:.0f} s", file=sys.stderr)
    found = {
        "lines": [{"seed": seed, **line, **costs} for line in lines],
        "pseudo": [
            {"seed": seed, "threat": threat, "pseudo_mAP": values.tolist()}
            for threat, values in pseudo.items()
        ],
    }
    # d' is infinite where the AUC is 1, which Python's JSON can say and publish_json refuses.
    publish_text(json_text(json.dumps(found)), scratch.path(f"{seed}.json"))
    fitted.scratch.finish()


def _csv(pieces: Sequence[Piece]) -> str:
    lines = [line for piece in pieces for line in piece["lines"]]
    return records_csv({key: _cell(value) for key, value in line.items()} for line in lines)


def _cell(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _write_pseudo(path: Path, pieces: Sequence[Piece]) -> None:
    rows = [row for piece in pieces for row in piece["pseudo"]]
    write_table(pa.Table.from_pylist(rows), path)
