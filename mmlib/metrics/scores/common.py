"""Scores on the clips that two manifests share."""

from pathlib import Path

import numpy as np

from mmlib.runtime.arrays import Bools, Texts
from mmlib.runtime.errors import UserError
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
