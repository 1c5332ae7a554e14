"""Reading cached embeddings and attacked scores with pyarrow alone, clips in order of their id."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmlib.runtime.arrays import Array, Bools, Floats32, Indices, Ints, Texts
from mmlib.runtime.errors import UserError
from mmlib.runtime.parquet import Reader, numbers_of

CLEAN = "clean"
NOISE = "noise"
EMBEDDINGS = ("audio", "video", "fused")


class Embeddings(NamedTuple):
    """The cached embeddings of one split, N clips sorted by id.

    `labels` (N, K) bool, `logits` (N, K) float32, `vectors` name -> (N, D) float32.
    """

    classes: tuple[str, ...]
    task: str
    clip_ids: Texts
    labels: Bools
    logits: Floats32
    vectors: dict[str, Floats32]


class Condition(NamedTuple):
    """One way of scoring the eval clips; clean is (clean, clean, 0).

    `multiple` is that of the headline budget: 1 for the headline itself.
    """

    threat: str
    attack: str
    multiple: float


def read_embeddings(path: Path, split: str, vectors: Sequence[str] = EMBEDDINGS) -> Embeddings:
    """Read one split of data/embeddings/<run>.parquet; of `vectors`, those that the run has.

    Raises UserError when the file is absent or broken, or has no clip of the split.
    """
    file = Reader(path)
    metadata = file.facts()
    clip_ids, places = _ids(file, split)
    return Embeddings(
        classes=tuple(metadata["classes"]),
        task=str(metadata["task"]),
        clip_ids=clip_ids,
        labels=_placed(file, split, "labels", places),
        logits=_placed(file, split, "logits", places),
        vectors={
            name: _placed(file, split, name, places)
            for name in vectors
            if name in file.schema.names
        },
    )


def _ids(file: Reader, split: str) -> tuple[Texts, Indices]:
    """The ids of a split's clips, sorted, and the place there of each in the order of the file."""
    column = file.where("split", split, ["split", "clip_id"]).column("clip_id")
    if not len(column):
        path = file.path
        raise UserError(f"{path}: no clip of split {split!r}; check the data and run `dvc repro`")
    clip_ids, order = _sorted_ids(column, file.path)
    places = np.empty(len(order), np.intp)
    places[order] = np.arange(len(order))
    return clip_ids, places


def _placed(file: Reader, split: str, name: str, places: Indices) -> Array:
    """A column of a split's clips, each at its place: one copy, and that of a row group."""
    found = np.empty((len(places), 0))
    begin = 0
    for (part,) in _parts(file, split, [name]):
        if not begin:
            found = np.empty((len(places), part.shape[1]), part.dtype)
        found[places[begin : begin + len(part)]] = part
        begin += len(part)
    return found


def _parts(file: Reader, split: str, names: Sequence[str]) -> Iterator[list[Array]]:
    """Columns of a split's clips, (n, width) each, labels as bool, a row group at a time."""
    for group in range(len(file.sizes)):
        mine = pc.equal(file.read(["split"], [group])["split"], split)
        if not pc.any(mine).as_py():
            continue
        columns = file.read(names, [group]).filter(mine)
        yield [
            numbers_of(columns[name], np.uint8) != 0
            if name == "labels"
            else numbers_of(columns[name], np.float32)
            for name in names
        ]


def stored_parts(
    file: Reader, split: str, vectors: Sequence[str]
) -> Iterator[tuple[Bools, Mapping[str, Floats32]]]:
    """Labels (n, K) and vectors (n, D) of a split's clips, a row group at a time, as they lie in
    the file."""
    for labels, *found in _parts(file, split, ["labels", *vectors]):
        yield labels, dict(zip(vectors, found, strict=True))


def carriers(file: Reader, split: str) -> tuple[Ints, int]:
    """How many clips of a split have each label, (K,), and how many there are."""
    counts = [(labels.sum(0), len(labels)) for labels, _ in stored_parts(file, split, ())]
    return np.sum([found for found, _ in counts], axis=0), sum(clips for _, clips in counts)


def measurable(path: Path, splits: Collection[str]) -> bool:
    """Whether data/embeddings/<run>.parquet has an embedding, and clips of these splits.

    A model of one's own may give its logits alone, and have met eval clips alone.
    """
    file = Reader(path)
    there = set(file.read(["split"]).column("split").unique().to_pylist())
    return set(splits) <= there and bool(set(EMBEDDINGS) & set(file.schema.names))


def read_labels(path: Path, split: str) -> tuple[Texts, Bools]:
    """The ids (N,) and labels (N, K) of one split of data/embeddings/<run>.parquet."""
    file = Reader(path)
    clip_ids, places = _ids(file, split)
    return clip_ids, _placed(file, split, "labels", places)


class AttackScores:
    """data/attacks/<run>.parquet: the scores of every eval clip under every condition.

    `eps` is the headline budget, `threats` those that the run's modalities allow, `conditions`
    every (threat, attack, multiple) stored. Scores are read when asked for, so that a sweep over
    20,000 clips and 527 classes needs the memory of one condition.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = Reader(path, "attacked scores")
        metadata = self._file.facts()
        self.classes = tuple(metadata["classes"])
        self.task = str(metadata["task"])
        self.eps = float(metadata["eps"])
        self.threats = tuple(metadata["threats"])
        keys = self._file.read(["clip_id", "threat", "attack", "multiple"])
        self._rows = _rows_by_condition(keys)
        self.conditions = tuple(self._rows)
        self._ids = keys.column("clip_id")
        if Condition(CLEAN, CLEAN, 0.0) not in self._rows:
            raise UserError(f"{path}: holds no clean scores; delete it and run `dvc repro`")
        self._only: Texts | None = None
        self.clip_ids = self._order(Condition(CLEAN, CLEAN, 0.0))[0]

    def restrict(self, clip_ids: Texts) -> None:
        """From now on tell of these clips alone, as if no others had been attacked."""
        self._only = clip_ids
        self.clip_ids = self._order(Condition(CLEAN, CLEAN, 0.0))[0]

    def scores(self, condition: Condition, *, quantised: bool = False) -> Floats32:
        """Logits (N, K) of the clips in order of their id.

        `quantised`: of the inputs as stored, uint8 and float16. Raises UserError when the
        condition is absent or does not cover the same clips as the clean scores.
        """
        if condition not in self._rows:
            raise UserError(f"{self.path}: no scores for {condition}; run `dvc repro`")
        clip_ids, rows = self._order(condition)
        if not np.array_equal(clip_ids, self.clip_ids):
            eps = self.eps_at(condition.multiple)
            raise UserError(
                f"{self.path}: {condition.threat} at eps {eps:g} covers "
                f"{len(clip_ids)} clips, clean {len(self.clip_ids)}; delete it and run `dvc repro`"
            )
        column = self._column("quantised_scores" if quantised else "scores", rows)
        if column.null_count:
            raise UserError(f"{self.path}: {column.null_count} scores of {condition} are missing")
        return numbers_of(column, np.float32)

    def eps_at(self, multiple: float) -> float:
        """The budget at a multiple of the headline one, as the sweep computed it."""
        return self.eps * multiple

    def sweep(self, threat: str, attack: str) -> tuple[float, ...]:
        """The multiples at which the attack was run under the threat, ascending."""
        found = {c.multiple for c in self.conditions if (c.threat, c.attack) == (threat, attack)}
        return tuple(sorted(found))

    def _order(self, condition: Condition) -> tuple[Texts, Indices]:
        rows = self._rows[condition]
        clip_ids, order = _sorted_ids(self._ids.take(pa.array(rows)), self.path)
        if self._only is not None:
            chosen = np.isin(clip_ids, self._only)
            clip_ids, order = clip_ids[chosen], order[chosen]
        return clip_ids, rows[order]

    def _column(self, name: str, rows: Indices) -> pa.ChunkedArray:
        """The rows of a column, reading only the row groups that hold them."""
        sizes = self._file.sizes
        starts = np.concatenate([[0], np.cumsum(sizes)])
        groups = np.unique(np.searchsorted(starts, rows, "right") - 1)
        table = self._file.read([name], groups.tolist())
        # where each row lies among the groups that were read
        offsets = np.concatenate([[0], np.cumsum([sizes[group] for group in groups])])
        places = np.searchsorted(groups, np.searchsorted(starts, rows, "right") - 1)
        return table.column(name).take(pa.array(rows - starts[groups[places]] + offsets[places]))


def _sorted_ids(column: pa.ChunkedArray, path: Path) -> tuple[Texts, Indices]:
    clip_ids = np.array(column.to_pylist(), dtype=np.str_)
    order = np.argsort(clip_ids, kind="stable")
    clip_ids = clip_ids[order]
    repeated = clip_ids[1:][clip_ids[1:] == clip_ids[:-1]]
    if len(repeated):
        raise UserError(f"{path}: clip {repeated[0]} is there twice; delete it and run `dvc repro`")
    return clip_ids, order


def _rows_by_condition(keys: pa.Table) -> dict[Condition, Indices]:
    threats, attacks = (
        keys.column(name).combine_chunks().dictionary_encode() for name in ("threat", "attack")
    )
    multiples = keys.column("multiple").to_numpy()
    budgets, budget_codes = np.unique(multiples, return_inverse=True)
    codes = np.stack([threats.indices.to_numpy(), attacks.indices.to_numpy(), budget_codes], axis=1)
    found, inverse = np.unique(codes, axis=0, return_inverse=True)
    names = (threats.dictionary.to_pylist(), attacks.dictionary.to_pylist())
    return {
        Condition(names[0][t], names[1][a], float(budgets[b])): np.flatnonzero(inverse == index)
        for index, (t, a, b) in enumerate(found)
    }
