"""Which vectors of two sets may be alike: all pairs that are, and few besides.

Products of bfloat16 where the processor has them, three times as fast as of float32; what passes is
then looked at exactly, so that the results do not depend on the processor.
"""

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import torch

from mmlib.runtime.arrays import Floats32, Indices

# Vectors of a tile: its similarities fit into a core's second cache.
_COLUMNS = 1024
# Pairs that are handed on at once, at least.
_PAIRS = 8192
# Vectors of length 1, each number rounded by at most 1/512 of itself, and so is their product.
_ROUNDING = 3 / 512

Places = tuple[Indices, Indices]


@cache
def has_bfloat16() -> bool:
    """Whether this processor multiplies matrices of bfloat16 itself."""
    able: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


class Sieve:
    """Vectors (N, D) of length 1 or 0, to be compared with those of other clips."""

    def __init__(self, vectors: Floats32) -> None:
        self._parts = np.split(vectors, range(_COLUMNS, len(vectors), _COLUMNS))
        self._rounded = [torch.from_numpy(part).bfloat16().T for part in self._parts]

    def alike(self, moved: Sequence[Floats32], cosine: float) -> Iterator[list[Places]]:
        """All pairs of a clip in `moved` and one in here whose cosine is at least this.

        `moved`: vectors (B, D) of other clips at each shift; the places of the pairs come for each
        shift by itself, thousands at a time. Some pairs are up to 0.006 less alike.
        """
        rounded = [torch.from_numpy(each).bfloat16() for each in moved]
        waiting: list[list[Places]] = [[] for _ in moved]
        count = 0
        for number, part in enumerate(self._parts):
            for shift, each in enumerate(moved):
                if has_bfloat16():
                    products = rounded[shift] @ self._rounded[number]
                    passed = (products >= cosine - _ROUNDING).numpy()
                else:
                    passed = each @ part.T >= cosine - _ROUNDING
                row, column = np.divmod(np.flatnonzero(passed), len(part))
                waiting[shift].append((row, column + number * _COLUMNS))
                count += len(row)
            if count >= _PAIRS or number + 1 == len(self._parts):
                yield [_joined(places) for places in waiting]
                waiting, count = [[] for _ in moved], 0


def _joined(places: Sequence[Places]) -> Places:
    ones, twos = zip(*places, strict=True)
    return np.concatenate(ones), np.concatenate(twos)
