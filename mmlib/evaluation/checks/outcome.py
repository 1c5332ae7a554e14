"""The result of one check."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

Status = Literal["pass", "warn", "fail"]
STATUSES: tuple[Status, ...] = ("pass", "warn", "fail")


class Outcome(NamedTuple):
    """A check's name, how it ended, and one sentence of what was found, with figures."""

    name: str
    status: Status
    message: str


def graded(name: str, value: float, warn: float, fail: float, message: str) -> Outcome:
    """Pass up to `warn`, warn up to `fail`, fail above it and on NaN."""
    if value <= warn:
        return Outcome(name, "pass", message)
    return Outcome(name, "warn" if value <= fail else "fail", message)


def counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How many passed, warned and failed: {"pass": ..., "warn": ..., "fail": ...}."""
    found = Counter(outcome.status for outcome in outcomes)
    return {status: found[status] for status in STATUSES}


def summary(runs: Mapping[str, Sequence[Outcome]]) -> dict[str, Any]:
    """The content of metrics/checks.json.

    "total" and each run: how many passed, warned and failed, for `dvc metrics`; the run's
    "outcomes" as a list of objects with name, status and message.
    """
    everything = [outcome for outcomes in runs.values() for outcome in outcomes]
    return {"total": counts(everything)} | {
        run: {**counts(outcomes), "outcomes": [outcome._asdict() for outcome in outcomes]}
        for run, outcomes in runs.items()
    }
