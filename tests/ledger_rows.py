"""Rows of a ledger, made up."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from mmlib.shards.rows.ledger import LEDGER_SCHEMA


def row(
    clip_id: str,
    split: str,
    labels: Sequence[str],
    status: str = "ok",
    error: str | None = None,
    **changed: Any,
) -> dict[str, Any]:
    """One clip; a failed one fails in stage decode."""
    stage = {"ok": None, "failed": "decode", "dropped": "shard"}[status]
    return {
        "clip_id": clip_id,
        "source_id": f"film {clip_id}",
        "split": split,
        "labels": list(labels),
        "status": status,
        "stage": stage,
        "error": error,
        "message": error and f"it was {error}",
        "attempts": 1,
        "source": "test",
        "audio_present": status != "failed",
        "video_present": status != "failed",
        "damage": [],
        **changed,
    }


def table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows as write_ledger takes them."""
    return pa.Table.from_pylist([dict(entry) for entry in rows], LEDGER_SCHEMA)
