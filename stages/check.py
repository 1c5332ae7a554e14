"""Check of every attacked run whether its numbers can be believed, and say so where they cannot."""

from pathlib import Path

from mmlib import params
from mmlib.evaluation.checks.check import (
    Places,
    check_runs,
)
from mmlib.evaluation.checks.outcome import summary
from mmlib.runtime import stage
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import publish_json

OUT = Path("metrics/checks.json")


def main(arguments: list[str]) -> None:
    """Write metrics/checks.json; checks.on_failure decides whether a failing check ends the stage.

    The file is written either way.
    """
    if arguments:
        raise UserError("usage: python -m stages.check")
    settings = params.load()
    data = Path("data")
    places = Places(data / "shards", data / "models", data / "attacks", data / "embeddings")
    found = check_runs(
        settings.runs,
        places,
        settings.attack,
        settings.checks,
        settings.seed,
        settings.shard.mel.floor_db,
    )
    publish_json(summary(found), OUT)
    failed = [
        f"{run}: {outcome.name}"
        for run, outcomes in found.items()
        for outcome in outcomes
        if outcome.status == "fail"
    ]
    if failed and settings.checks.on_failure == "stop":
        raise UserError(f"{len(failed)} checks fail: {', '.join(failed)}; {OUT} says why")


if __name__ == "__main__":
    stage.run(main)
