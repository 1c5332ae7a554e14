"""What sieves the vectors of the sound in the search for leaks: ours beside those of faiss."""

import importlib.util
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from bench.made_hashes import World
from bench.tables import table
from mmlib.runtime.arrays import Bools, Floats32, Indices
from mmlib.shards.make.leaks.search import Sounds, flat, sounds
from mmlib.shards.make.leaks.sieve import Sieve

Sieved = Callable[[list[Floats32]], Iterator[tuple[Indices, Indices]]]
Alone = Callable[[Sounds, Sounds, float], Bools]
_BLOCK, _DISTANCE = 256, 0.15


def sieves(later: Sounds) -> dict[str, Sieved]:
    """What lets pairs pass by their vectors: ours, and those of faiss where it is installed."""
    ours, vectors = Sieve(flat(later.vectors)), flat(later.vectors)

    def own(moved: list[Floats32]) -> Iterator[tuple[Indices, Indices]]:
        for places in ours.alike(moved, Sounds.cosine):
            yield from places

    found: dict[str, Sieved] = {"ours": own}
    if importlib.util.find_spec("faiss") is None:
        print("faiss-cpu is not installed: left out\n")
        return found
    import faiss

    faiss.omp_set_num_threads(1)
    whole = faiss.IndexFlatIP(vectors.shape[1])
    parted = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(vectors.shape[1]), vectors.shape[1], 128, faiss.METRIC_INNER_PRODUCT
    )
    parted.train(vectors)
    parted.nprobe = 16
    for name, index in (("faiss flat", whole), ("faiss IVF, 16 of 128 lists", parted)):
        index.add(vectors)
        found[name] = partial(_searched, index)
    return found


def _searched(index: Any, moved: list[Floats32]) -> Iterator[tuple[Indices, Indices]]:
    for each in moved:
        limits, _, ids = index.range_search(each, Sounds.cosine)
        yield np.repeat(np.arange(len(each)), np.diff(limits.astype(np.intp))), ids


def beside(earlier: int, later: int, alone: Alone) -> None:
    """Print a table of the sieves: their time, and the near copies that they let pass.

    `alone` tells of pairs by themselves whether they are near.
    """
    world = World(later)
    second = sounds(world.later.sound)
    blocks = [world.earlier(number, _BLOCK) for number in range(earlier // _BLOCK)]
    rows = []
    for name, sieved in sieves(second).items():
        seconds, passed, hits, near = 0.0, 0, 0, 0
        for made, of in blocks:
            first = sounds(made.sound)
            copies = np.flatnonzero(of >= 0)
            copies = copies[alone(first.rows(copies), second.rows(of[copies]), _DISTANCE)]
            moved = [np.ascontiguousarray(flat(vectors)) for vectors in first.moved()]
            start = time.process_time()
            found = list(sieved(moved))
            seconds += time.process_time() - start
            keys = np.unique(np.concatenate([one * later + two for one, two in found]))
            passed += len(keys)
            hits += int(np.isin(copies * later + of[copies], keys).sum())
            near += len(copies)
        pairs = len(blocks) * _BLOCK * later
        cells = (f"{1e9 * seconds / pairs:.1f}", f"{passed / pairs:.2%}", f"{hits} of {near}")
        rows.append((name, *cells))
    head = ("sieve of the sound's vectors", "ns a pair", "let pass", "near copies among them")
    print(table(head, rows))
