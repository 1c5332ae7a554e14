"""A stage's shards in the making: each row the good earlier one, or a new one; then the ending."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import pyarrow as pa

from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import Scratch
from mmlib.shards.retry.plan import PASSING, Earlier, Place, link, read_plan, write_plan
from mmlib.shards.rows.clips import (
    VOCABULARY_NAME,
    Clip,
    DecodedClip,
    Vocabulary,
    write_rows,
    write_vocabulary,
)
from mmlib.shards.rows.splits import check_splits, needed_splits
from mmlib.shards.rows.tally import Ledger, check_failures, read_ledger

Row = TypeVar("Row", Clip, DecodedClip)
Input = TypeVar("Input")


class Match(NamedTuple):
    """An input's earlier row, where there is one, and whether it is good as it is."""

    place: Place | None
    good: bool


@dataclass(frozen=True)
class Work(Generic[Row]):
    """A stage's shards in the making: where they are kept, of what they are, what came before.

    `stage` is the name of the stage's folder in `scratch/retry`.
    """

    scratch: Scratch
    stage: str
    schema: pa.Schema
    read: Callable[[Path], Iterator[Row]]
    earlier: Earlier | None

    def again(self, place: Place) -> bool:
        """Tell whether the earlier row failed in a way that is to be tried again."""
        return self.earlier is not None and self.earlier.again(place)

    def write(
        self,
        name: str,
        facts: dict[str, Any],
        inputs: Iterable[Input],
        match: Callable[[Mapping[str, Place]], Iterable[Match]],
        make: Callable[[Input, Place | None], Row],
    ) -> None:
        """Finish the shard `name`: for each input the good earlier row, or else what `make` gives.

        `match` looks up each input's earlier row, by clip id; `make` is given it, or None.
        """
        rows = self.earlier.rows(name) if self.earlier else {}
        made: Iterator[Row] = (make(given, None) for given in inputs)
        if self.earlier and rows:
            matches = list(match(rows))
            numbers = _in_order(matches)
            if numbers == list(range(len(rows))):
                link(self.earlier.folder / name, self.scratch.path(name))
                return
            kept = self.read(self.earlier.folder / name)
            places = (found.place for found in matches)
            made = _merge(kept, numbers, zip(inputs, places, strict=True), make)
        self.scratch.write(name, lambda path: write_rows(path, self.schema, made, facts))

    def publish(
        self,
        names: Sequence[str],
        out: Path,
        vocabulary: Vocabulary,
        *,
        largest: float,
        param: str,
        before: Ledger | None = None,
        warnings: Sequence[str] = (),
    ) -> Ledger:
        """Account for the finished shards and put them, with classes.json, in the place of `out`.

        `warnings` are the stage's own and come first in the ledger; `before` is the ledger of the
        stage before, whose failures are not this stage's. UserError when a larger share of the
        clips failed than `largest`, which the param `param` sets: the next run then tries again
        what may pass; and when too few are left (see `splits`). `out` is left alone in both cases.
        """
        scratch, earlier = self.scratch, self.earlier
        scratch.write(VOCABULARY_NAME, lambda path: write_vocabulary(path, vocabulary))
        shards = [scratch.path(name) for name in names]
        ledger = read_ledger(shards)
        failures = ledger.failures - before.failures if before else ledger.failures
        tried = before.usable.total() if before else ledger.rows.total()
        try:
            check_failures(failures, ledger.examples, tried=tried, largest=largest, param=param)
        except UserError:
            _set_aside(scratch, shards, self.stage, failures)
            raise
        ledger.warnings += warnings
        # A list without a split was let pass, or not, when it was read.
        needed = needed_splits("keep", ledger.rows)
        ledger.warnings += check_splits(ledger.usable, ledger.positives, vocabulary, needed)
        if earlier:
            earlier.adopt(shards)
        scratch.publish(out)
        if earlier:
            earlier.finish()
        return ledger


def _in_order(matches: Iterable[Match]) -> list[int | None]:
    """Numbers of the rows to take over, rising, since a shard is read once; None: make it anew."""
    latest = -1
    numbers: list[int | None] = []
    for place, good in matches:
        number = place.number if place and good and place.number > latest else None
        numbers.append(number)
        latest = latest if number is None else number
    return numbers


def _merge(
    earlier: Iterator[Row],
    numbers: Iterable[int | None],
    inputs: Iterable[tuple[Input, Place | None]],
    make: Callable[[Input, Place | None], Row],
) -> Iterator[Row]:
    """For each input yield the row of `earlier` with its number, or what `make` gives for None."""
    read = 0
    for number, given in zip(numbers, inputs, strict=True):
        if number is None:
            yield make(*given)
            continue
        yield next(islice(earlier, number - read, None))
        read = number + 1


def _set_aside(
    scratch: Scratch, shards: Iterable[Path], stage: str, errors: Collection[str]
) -> None:
    """Let the next run try those of a stage's failures again that may pass: too many failed."""
    root = scratch.root
    Earlier(root / "retry" / stage, frozenset()).adopt(shards)
    if read_plan(root) is None:
        write_plan(root, PASSING.intersection(errors), stage)
    scratch.clear()
