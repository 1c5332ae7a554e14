"""Rows of an earlier run that are kept while only its failures are tried again.

`scratch/retry/` holds links to the finished shards of a stage (one folder a stage) and plan.json:
the error classes to try again. A stage that finds them takes over every row whose request is the
same and that did not fail in one of these classes. Nothing is taken from rows of other code or
params.
"""

import contextlib
import os
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmlib.runtime.scratch import publish_json
from mmlib.runtime.storage import read_json
from mmlib.shards.rows.clips import (
    FAILED,
    read_columns,
    read_facts,
    shard_paths,
)

# Error classes that may pass by themselves: the network's, a busy machine's, a lost disk's.
PASSING = frozenset(
    {
        *("rate_limited", "refused", "server_error", "connection", "stalled", "timeout"),
        *("truncated", "empty", "memory", "crashed", "unreadable_file", "store_failed"),
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
    write_plan(root, errors, None)


def write_plan(root: Path, errors: Collection[str], stage: str | None) -> None:
    """Plan to try the errors again; `stage` is the one that plans it for itself, if one does."""
    publish_json({"errors": sorted(errors), "stage": stage}, root / "retry" / _PLAN_NAME)


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
