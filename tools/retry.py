"""`make retry ERRORS="timeout connection"`: try failed clips again, and only those.

Without names: the classes that may pass by themselves. `all`: every class. Good rows are kept byte
for byte; stages download and decode run through DVC, which records the result. Killed at any
moment, the same command goes on.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from mmlib.runtime import stage
from mmlib.runtime.errors import UserError
from mmlib.shards.retry.plan import (
    PASSING,
    end_retry,
    plan_retry,
    read_plan,
    restore,
)
from mmlib.shards.rows.clips import (
    FAILED,
    read_columns,
    read_facts,
    shard_paths,
)

OUTS = {"clips": Path("data/clips"), "decoded": Path("data/decoded")}
STAGES = {"clips": "download", "decoded": "decode"}
_SCRATCH = Path("scratch")


def main(arguments: list[str]) -> None:
    """Retry the error classes that are named, and print the counts before and after."""
    plan = read_plan(_SCRATCH)
    if plan is not None:
        print("an interrupted retry is finished first: " + ", ".join(sorted(plan.errors)))
        folder = _SCRATCH / "retry"
        before = _failures({name: folder / name for name in OUTS})
    else:
        before = _failures(OUTS)
        errors = _chosen(arguments, before)
        if not errors:
            known = ", ".join(f"{error} {count}" for error, count in before.most_common())
            print(f"nothing to try again; failed are: {known or 'none'}")
            return
        if any("made_by" not in read_facts(path) for path in shard_paths(OUTS["clips"])):
            raise UserError("data/clips is of an older version: run `dvc repro -f download` once")
        plan_retry(_SCRATCH, errors, {name: out for name, out in OUTS.items() if out.is_dir()})
        plan = read_plan(_SCRATCH)
    _mend_dvc_lock()
    # What stage download needs of it may be absent, and DVC would say so at the end only.
    if not _repro("params"):
        raise UserError("nothing was tried, see above; then run `make retry` again")
    for name, stage_name in STAGES.items():
        if not _repro("--single-item", "--force", stage_name):
            if plan is not None and plan.stage is None:
                restore(_SCRATCH, name, OUTS[name])
            raise UserError(
                f"stage {stage_name} failed, see above; nothing is lost: run `make retry` again"
            )
    end_retry(_SCRATCH)
    print("\n".join(_table(before, _failures(OUTS))))
    print("`dvc repro` makes the rest follow")


def _repro(*arguments: str) -> bool:
    command = [sys.executable, "-m", "dvc", "repro", *arguments]
    return subprocess.run(command, check=False).returncode == 0


def _mend_dvc_lock() -> None:
    """Remove DVC's list of locks if a kill left it half written, which DVC does not forgive."""
    path = Path(".dvc/tmp/rwlock")
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except ValueError:
        path.unlink()


def _chosen(names: list[str], failed: Counter[str]) -> Collection[str]:
    if names == ["all"]:
        return set(failed)
    unknown = [name for name in names if name not in failed and name not in PASSING]
    if unknown:
        known = ", ".join(failed) or "none"
        raise UserError(f"no clip failed with {unknown[0]!r}; classes that failed: {known}")
    return set(names or PASSING) & set(failed)


def _failures(outs: dict[str, Path]) -> Counter[str]:
    """Failed clips by error class, as far as the latest stage knows."""
    folder = next((out for out in reversed(outs.values()) if out.is_dir()), None)
    if folder is None:
        raise UserError("no data/clips yet: run `dvc repro`, which makes it")
    return Counter(
        row["error"]
        for path in shard_paths(folder)
        for row in read_columns(path, ("status", "error"))
        if row["status"] == FAILED
    )


def _table(before: Counter[str], after: Counter[str]) -> list[str]:
    names = sorted(before | after)
    width = max(map(len, [*names, "error class"]))
    lines = [f"{'error class':<{width}}  before  after"]
    lines += [f"{name:<{width}}  {before[name]:6}  {after[name]:5}" for name in names]
    return [*lines, f"{'all':<{width}}  {before.total():6}  {after.total():5}"]


if __name__ == "__main__":
    stage.run(main, check=False)
