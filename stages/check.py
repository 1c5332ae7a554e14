"""Check of every attacked run whether its numbers can be believed, and say so where they cannot."""

from pathlib import Path
from typing import Annotated, Any

from mmlib.evaluation.checks.check import (
    Places,
    check_runs,
    progress,
)
from mmlib.evaluation.checks.outcome import summary
from mmlib.params.attacks import Attack
from mmlib.params.checks import Checks
from mmlib.runtime import stage
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import publish_json
from mmlib.runtime.settings import At, Seed, StageSettings

OUT = Path("metrics/checks.json")


class Settings(StageSettings):
    """What this stage reads of params.yaml; of the rows that are runs their names."""

    seed: Seed
    attack: Attack
    checks: Checks
    floor_db: Annotated[float, At("shard.mel.floor_db")]
    train: dict[str, Any]
    retrain: dict[str, Any]
    models: dict[str, Any]


def main(arguments: list[str]) -> None:
    """Write metrics/checks.json; checks.on_failure decides whether a failing check ends the stage.

    The file is written either way.
    """
    stage.no_row(arguments, "check")
    settings = Settings.load()
    data = Path("data")
    places = Places(data / "shards", data / "models", data / "attacks", data / "embeddings")
    given = (
        (*settings.train, *settings.retrain, *settings.models),
        places,
        settings.attack,
        settings.checks,
        settings.seed,
        settings.floor_db,
    )
    scratch = progress(*given)
    found = check_runs(*given, scratch=scratch)
    publish_json(summary(found), OUT)
    scratch.finish()
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
