"""Attack a run by every method at the same budgets and steps: what each adds to PGD."""

from pathlib import Path
from typing import Annotated

from mmlib.evaluation.methods.methods import compare
from mmlib.evaluation.methods.table import tables
from mmlib.params.attacks import Attack
from mmlib.params.methods import MethodsRun, MethodsSearch
from mmlib.params.score import Score
from mmlib.runtime import stage
from mmlib.runtime.scratch import publish_csv, publish_json
from mmlib.runtime.settings import At, Seed, StageSettings


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    seed: Seed
    attack: Attack
    wanted: Annotated[MethodsRun, At("methods.runs.{row}")]
    search: Annotated[MethodsSearch, At("methods.search")]
    score: Score


def main(arguments: list[str]) -> None:
    """Write metrics/methods/<run>.csv and <run>.json, and metrics/optimality/<run>.csv."""
    run = stage.row(arguments, "methods")
    settings = Settings.load(row=run)
    outcome = compare(
        Path("data/models") / run,
        Path("data/shards"),
        settings.wanted,
        settings.search,
        settings.attack,
        settings.score,
        settings.seed,
    )
    attack, score = settings.attack, settings.score
    found = tables(outcome, attack.loss, attack.eps, score.confidence)
    publish_csv(found.methods, Path(f"metrics/methods/{run}.csv"))
    publish_csv(found.optimality, Path(f"metrics/optimality/{run}.csv"))
    publish_json(found.figures, Path(f"metrics/methods/{run}.json"))


if __name__ == "__main__":
    stage.run(main)
