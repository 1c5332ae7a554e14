"""The search for near-duplicates at the size of AudioSet: processor time, memory, what is found.

Hashes are made up (`made_hashes`): 2.06 million clips of split train against 20,000 of split eval,
of which a hundredth of the earlier clips are copies. The search runs as in stage shard, in a
process of its own; copies that are near by the rule are known from comparing each by itself.
Smaller sizes: --earlier, --later. With --peers, only what sieves the vectors of the sound, on 8,192
clips against the later ones, beside faiss (flat, and IVF over the later clips).
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench import leak_peers
from bench.made_hashes import Made, World
from bench.peaks import measured
from bench.tables import table
from mmlib.runtime import parquet
from mmlib.runtime.arrays import Bools, Indices
from mmlib.runtime.parquet import binary_column
from mmlib.runtime.scratch import Scratch
from mmlib.shards.make.leaks.audit import KINDS, Audited, audit
from mmlib.shards.make.leaks.search import Kind, flat, pictures, sounds
from mmlib.shards.rows.clips import SPLITS
from mmlib.shards.rows.ledger import PICTURE, SOUND

DISTANCES = {"sound": 0.15, "picture": 0.1}
"""As in params.yaml."""
_FILE_CLIPS, _BLOCK = 2048, 256
_SCHEMA = pa.schema(
    [
        pa.field("sound_hash", pa.binary(SOUND.itemsize)),
        pa.field("picture_hash", pa.binary(PICTURE.itemsize)),
    ]
)


def alone(one: Kind, two: Kind, distance: float) -> Bools:
    """Whether each pair (P,) is near by the rule, without any search."""
    near = np.zeros(len(one.vectors), np.bool_)
    for place, moved in enumerate(one.moved()):
        alike = (flat(moved) * flat(two.vectors)).sum(1) >= one.cosine
        near |= alike & (one.distances(two, place) <= distance)
    return near


def write(folder: Path, earlier: int, later: int, distinct: int) -> None:
    """Make the hashes as survey files, and list the copies that are near by the rule.

    Of the earlier clips so many are `distinct`; their files count again and again, as links.
    """
    world = World(later)
    near: dict[str, list[tuple[int, int]]] = {name: [] for name in DISTANCES}
    distinct = min(earlier, distinct) // _FILE_CLIPS * _FILE_CLIPS or earlier
    for begin in range(0, earlier, _FILE_CLIPS):
        path = folder / f"train-{begin // _FILE_CLIPS:05d}.parquet"
        again = begin % distinct
        if begin > again and earlier - begin >= _FILE_CLIPS:
            path.hardlink_to(folder / f"train-{again // _FILE_CLIPS:05d}.parquet")
            for pairs in near.values():
                here = [pair for pair in pairs if again <= pair[0] < again + _FILE_CLIPS]
                pairs += [(one + begin - again, two) for one, two in here]
            continue
        rows = []
        for start in range(begin, min(begin + _FILE_CLIPS, earlier), _BLOCK):
            made, of = world.earlier(start // _BLOCK, min(_BLOCK, earlier - start))
            rows.append(made)
            for name, pairs in near.items():
                pairs += _near(made, world.later, of, name, start, earlier)
        _write(path, rows)
    for begin in range(0, later, _FILE_CLIPS):
        rows = [_part(world.later, slice(begin, begin + _FILE_CLIPS))]
        _write(folder / f"eval-{begin // _FILE_CLIPS:05d}.parquet", rows)
    for name, pairs in near.items():
        np.save(folder / f"near-{name}.npy", np.array(pairs))


def _near(
    made: Made, later: Made, of: Indices, name: str, start: int, earlier: int
) -> list[tuple[int, int]]:
    there = (made.heard, later.heard) if name == "sound" else (made.seen, later.seen)
    places = np.flatnonzero((of >= 0) & there[0] & there[1][of])
    if name == "sound":
        heard = sounds(made.sound[places]), sounds(later.sound[of[places]])
        found = alone(*heard, DISTANCES[name])
    else:
        seen = pictures(made.picture[places]), pictures(later.picture[of[places]])
        found = alone(*seen, DISTANCES[name])
    return [(int(start + p), int(earlier + of[p])) for p in places[found]]


def _part(made: Made, rows: slice) -> Made:
    return Made(made.sound[rows], made.picture[rows], made.heard[rows], made.seen[rows])


def _write(path: Path, rows: list[Made]) -> None:
    columns = []
    for name, present in (("sound", "heard"), ("picture", "seen")):
        numbers = np.concatenate([getattr(made, name) for made in rows])
        there = np.concatenate([getattr(made, present) for made in rows])
        column = binary_column(numbers.view(np.uint8).reshape(len(numbers), -1))
        columns.append(pa.compute.if_else(pa.array(there), column, None))
    parquet.write_table(pa.table(columns, _SCHEMA), path, compression="none")


def search(folder: Path) -> list[tuple[int, ...]]:
    """Search the folder as stage shard does; (kind, pairs, copies found, copies) for each kind."""
    surveys = [*sorted(folder.glob("train-*")), *sorted(folder.glob("eval-*"))]
    counts = [sum(parquet.Reader(path).sizes) for path in surveys]
    splits = [SPLITS.index(path.name.split("-")[0]) for path in surveys]
    ids = pa.chunked_array([pa.array(np.arange(sum(counts)).astype(str))])
    clips = Audited(
        ids, ids, np.repeat(splits, counts).astype(np.int8), np.ones(sum(counts), np.bool_),
        surveys, np.cumsum(counts),
    )  # fmt: skip
    leaks = audit(
        clips, sound_distance=DISTANCES["sound"], picture_distance=DISTANCES["picture"],
        scratch=Scratch("leaks", "bench", folder / "scratch"),
    )  # fmt: skip
    total = sum(counts)
    found = np.unique(leaks.earlier * total + leaks.later)
    rows: list[tuple[int, ...]] = []
    for name in DISTANCES:
        near = np.load(folder / f"near-{name}.npy").reshape(-1, 2)
        kind = KINDS.index(f"near_duplicate_{name}")
        hits = np.isin(near[:, 0] * total + near[:, 1], found)
        rows.append((kind, int((leaks.kinds == kind).sum()), int(hits.sum()), len(near)))
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--earlier", type=int, default=2_060_000)
    parser.add_argument("--later", type=int, default=20_000)
    parser.add_argument("--distinct", type=int, help="make so many earlier clips, and repeat them")
    parser.add_argument("--folder", type=Path, help="keep the hashes here, or take them from here")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--search", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peers:
        leak_peers.beside(min(options.earlier, 8192), options.later, alone)
        return
    if options.search:
        rows, driver, worker = measured(lambda: search(options.search))
        own, below = (
            resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        seconds = own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime
        print(driver, worker, seconds, *(number for row in rows for number in row))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        if not (folder / "near-sound.npy").exists():
            write(folder, options.earlier, options.later, options.distinct or options.earlier)
        command = [sys.executable, "-m", "bench.leaks", "--search", str(folder)]
        start = time.monotonic()
        done = subprocess.run(
            command, env=os.environ, stdout=subprocess.PIPE, text=True, check=True
        )
        _show(options, done.stdout.split(), time.monotonic() - start)


def _show(options: argparse.Namespace, words: list[str], elapsed: float) -> None:
    driver, worker, seconds = int(words[0]), int(words[1]), float(words[2])
    pairs = options.earlier * options.later
    print(
        f"{options.earlier} x {options.later} clips: {seconds:.0f} s of a core, "
        f"{elapsed:.0f} s elapsed, {1e9 * seconds / pairs:.1f} ns a pair; "
        f"driver {driver / 1024:.0f} MiB, largest worker {worker / 1024:.0f} MiB\n"
    )
    rows = []
    for start in (3, 7):
        kind, listed, found, near = map(int, words[start : start + 4])
        rows.append((KINDS[kind], str(listed), str(near), str(found)))
    print(table(("kind", "pairs listed", "copies that are near", "of them listed"), rows))


if __name__ == "__main__":
    main()
