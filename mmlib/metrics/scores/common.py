"""Scores on the clips that two manifests share."""

from pathlib import Path

import numpy as np

from mmlib.runtime.arrays import Bools, Indices, Texts
from mmlib.runtime.errors import UserError
from mmlib.runtime.seeds import drawn
from mmlib.shards.rows.ledger import read_manifest_csv

Ids = Texts
Labels = Bools


def shared(clip_ids: Ids, labels: Labels, manifest: Path) -> Labels:
    """Which of the clips, (N,), another manifest holds as well; all, where it lists none.

    `labels` (N, K) are the clips' own. UserError when none is shared, or none with a label.
    """
    others = read_manifest_csv(manifest)
    if others is None:
        return np.ones(len(clip_ids), np.bool_)
    found = np.isin(clip_ids, np.array(sorted(others), np.str_))
    if not found.any():
        raise UserError(
            f"score.common_with={manifest}: it shares none of the {len(clip_ids)} eval clips; "
            "name a metrics/eval_clips.csv of the same list, or data/none/subset.csv for all"
        )
    if not labels[found].any():
        raise UserError(
            f"score.common_with={manifest}: none of the {found.sum()} shared clips has a label"
        )
    return found


def drawn_of_scored(
    clip_ids: Ids, labels: Labels, manifest: Path, wanted: int | None, seed: int, key: str
) -> Indices:
    """Places of the clips that are scored (see `shared`), ascending: all, or as many drawn.

    `key` is the param that says how many. UserError where none of those drawn has a label, too.
    """
    rows = drawn(np.flatnonzero(shared(clip_ids, labels, manifest)), wanted, seed)
    if not labels[rows].any():
        raise UserError(
            f"{key}={wanted}: none of the clips drawn has a label; take more, or all (null)"
        )
    return rows
