"""Clips cut from one recording resemble one another: intervals take recordings as independent."""

from pathlib import Path

import numpy as np

from mmlib.runtime.arrays import Floats, Texts
from mmlib.runtime.errors import UserError
from mmlib.shards.rows.ledger import read_rows


def by_recording(pseudo: Floats, recordings: Texts | None) -> Floats:
    """Pseudo-values of recordings, (G,), from those of their clips, (N,); None: a clip is one.

    Of the same mean; their standard deviation over sqrt(G) is the error that is robust to clips of
    one recording going together. Linear, so that differences and means stay paired. `recordings`
    (N,) names each clip's; where all differ, the values stand as they are, in order of the names.
    """
    if recordings is None:
        return pseudo
    names, codes = np.unique(recordings, return_inverse=True)
    mean = pseudo.mean()
    sums = np.bincount(codes, pseudo - mean, len(names))
    return np.asarray(mean + len(names) / len(pseudo) * sums)


def read_recordings(ledger: Path, clip_ids: Texts) -> Texts:
    """The recording that each eval clip was cut from, (N,), as the ledger tells.

    UserError when the ledger cannot be read or does not know a clip.
    """
    known: dict[str, str] = {}
    for table in read_rows(ledger, ("clip_id", "source_id"), "eval"):
        known |= dict(zip(*(column.to_pylist() for column in table.columns), strict=True))
    unknown = [clip_id for clip_id in clip_ids.tolist() if clip_id not in known]
    if unknown:
        raise UserError(f"{ledger}: does not know clip {unknown[0]}; run `dvc repro`")
    return np.array([known[clip_id] for clip_id in clip_ids.tolist()], dtype=np.str_)
