"""Rows of an earlier run that are kept while only its failures are tried again.

`scratch/retry/` holds links to the finished shards of a stage (one folder a stage) and plan.json:
the error classes to try again. A stage that finds them takes over every row whose request is the
same and that did not fail in one of these classes. Nothing is taken from rows of other code or
params.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from mmlib.runtime.scratch import (
    Scratch,
    publish_json,
)
from mmlib.shards.rows.clips import (
    FAILED,
    read_columns,
    read_facts,
    shard_paths,
)
from mmlib.storage import read_json

Row = TypeVar("Row")
Input = TypeVar("Input")
# Error classes that may pass by themselves: the network's, a busy machine's, a lost disk's.
PASSING = frozenset(
    {
        *("rate_limited", "refused", "server_error", "connection", "stalled", "timeout"),
        *("truncated", "empty", "memory", "crashed", "unreadable_file"),
    }
)
_PLAN_NAME = "plan.json"
_COLUMNS = ("clip_id", "request", "sha256", "status", "error", "attempts")


@dataclass(frozen=True)
class Place:
    """A row of an earlier shard: its number, and its small columns."""

    number: int
    row: dict[str, Any]


@dataclass(frozen=True)
class Earlier:
    """The shards of one stage in `folder`, and the error classes that are tried again.

    `passing`: the stage planned this itself, and forgets it when it succeeds.
    """

    folder: Path
    errors: frozenset[str]
    passing: bool = False

    def rows(self, name: str) -> dict[str, Place]:
        """The rows of a shard by clip id; none when there is no such shard."""
        path = self.folder / name
        if not path.is_file():
            return {}
        found = enumerate(read_columns(path, _COLUMNS))
        return {row["clip_id"]: Place(number, row) for number, row in found}

    def again(self, place: Place) -> bool:
        """Tell whether the row failed in a way that is to be tried again."""
        return place.row["status"] == FAILED and place.row["error"] in self.errors

    def adopt(self, shards: Iterable[Path]) -> None:
        """Take newer shards for those of the same name: an interrupted retry goes on from them."""
        for shard in shards:
            link(shard, self.folder / shard.name)

    def finish(self) -> None:
        """Forget what the stage had planned for itself; called once its outs are published."""
        if self.passing:
            end_retry(self.folder.parent.parent)


@dataclass(frozen=True)
class Plan:
    """What is to be tried again; `stage` is the one that planned it for itself, if one did."""

    errors: frozenset[str]
    stage: str | None


def find_earlier(root: Path, stage: str, made_by: str) -> Earlier | None:
    """The earlier rows of a stage, if a retry is planned and the same code and params made them."""
    plan, folder = read_plan(root), root / "retry" / stage
    if plan is None or not folder.is_dir():
        return None
    if any(read_facts(shard).get("made_by") != made_by for shard in shard_paths(folder)):
        print(f"{folder} was made by other code or params: its rows are not taken over")
        return None
    return Earlier(folder, plan.errors, plan.stage == stage)


def read_plan(root: Path) -> Plan | None:
    """The retry that is under way; None when there is none."""
    path = root / "retry" / _PLAN_NAME
    if not path.is_file():
        return None
    plan = read_json(path, "delete its folder")
    return Plan(frozenset(plan["errors"]), plan["stage"])


def plan_retry(root: Path, errors: Collection[str], outs: dict[str, Path]) -> None:
    """Keep the shards of the stages' `outs` and plan to try their failures of these classes again.

    The plan is written last: before that, nothing of it counts.
    """
    for stage, out in outs.items():
        folder = root / "retry" / stage
        shutil.rmtree(folder, ignore_errors=True)
        for shard in out.iterdir():
            link(shard, folder / shard.name)
    publish_json({"errors": sorted(errors), "stage": None}, root / "retry" / _PLAN_NAME)


def end_retry(root: Path) -> None:
    """Forget the plan, then the shards."""
    (root / "retry" / _PLAN_NAME).unlink(missing_ok=True)
    shutil.rmtree(root / "retry", ignore_errors=True)


def restore(root: Path, stage: str, out: Path) -> None:
    """Put the kept shards back where a stage that failed has left nothing."""
    folder = root / "retry" / stage
    if folder.is_dir() and not out.exists():
        for shard in folder.iterdir():
            link(shard, out / shard.name)


def link(source: Path, target: Path) -> None:
    """Give a finished file a second name, whole or absent; a copy where links are not possible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.partial")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    temporary.replace(target)
    # Renaming onto another name of the same file leaves both.
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()


def in_order(places: Iterable[Place | None]) -> list[int | None]:
    """Numbers of the rows to take over, rising, since a shard is read once; None: make it anew."""
    latest = -1
    numbers: list[int | None] = []
    for place in places:
        fits = place is not None and place.number > latest
        numbers.append(place.number if place is not None and fits else None)
        latest = place.number if place is not None and fits else latest
    return numbers


def is_whole(numbers: Sequence[int | None], rows: int) -> bool:
    """Tell whether the earlier shard of so many rows is taken over as it is."""
    return list(numbers) == list(range(rows))


def merge(
    earlier: Iterator[Row],
    numbers: Iterable[int | None],
    inputs: Iterable[Input],
    make: Callable[[Input], Row],
) -> Iterator[Row]:
    """For each input yield the row of `earlier` with its number, or what `make` gives for None."""
    read = 0
    for number, given in zip(numbers, inputs, strict=False):
        if number is None:
            yield make(given)
            continue
        yield next(islice(earlier, number - read, None))
        read = number + 1


def set_aside(
    scratch: Scratch, names: Sequence[str], root: Path, stage: str, errors: Collection[str]
) -> None:
    """Let the next run try those of a stage's failures again that may pass: too many failed."""
    Earlier(root / "retry" / stage, frozenset()).adopt(scratch.path(name) for name in names)
    if read_plan(root) is None:
        publish_json(
            {"errors": sorted(PASSING.intersection(errors)), "stage": stage},
            root / "retry" / _PLAN_NAME,
        )
    scratch.clear()
