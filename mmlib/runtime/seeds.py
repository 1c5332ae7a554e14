"""Seeds that depend on what they are for, and on nothing else."""

import hashlib
import json

import numpy as np

from mmlib.runtime.arrays import Indices


def derive(*parts: int | str, draw: bool = False) -> int:
    """Turn a seed and the names of its use into a seed of 63 bits: derive(2022, "mid", epoch).

    The same on every machine and in every process. `draw`: the seed of one random draw from an
    attack's own seed, as in derive(seed, "restart", 1, draw=True). Draws are hashed apart, so that
    none ever takes the seed that the same parts give a use.
    """
    if draw:
        text = "\x1f".join(repr(part) for part in parts)
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    else:
        text = json.dumps(parts, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).digest()[:8]
    return int.from_bytes(digest) >> 1


def drawn(rows: Indices | int, wanted: int | None, seed: int) -> Indices:
    """So many of ascending rows (N,), without repeats, ascending; all of them for None.

    A number stands for the rows 0 to below it.
    """
    rows = np.arange(rows) if isinstance(rows, int) else rows
    if wanted is None or wanted >= len(rows):
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, wanted, replace=False))
