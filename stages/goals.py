"""Hide, inject and swap a run's tags: how often that succeeds at each budget."""

from pathlib import Path
from typing import Annotated

from mmlib.evaluation.goals.goals import try_goals
from mmlib.evaluation.goals.table import clips_csv, decisions_csv, figures, success_csv
from mmlib.params.attacks import Attack
from mmlib.params.goals import Decision, GoalsRun, GoalsSearch
from mmlib.runtime import stage
from mmlib.runtime.scratch import publish_csv, publish_json
from mmlib.runtime.settings import At, Seed, StageSettings


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    seed: Seed
    attack: Attack
    wanted: Annotated[GoalsRun, At("goals.runs.{row}")]
    decision: Annotated[Decision, At("goals.decision")]
    search: Annotated[GoalsSearch, At("goals.search")]
    confidence: Annotated[float, At("score.confidence")]


def main(arguments: list[str]) -> None:
    """Write metrics/goals/<run>.json, and <run>.csv there, in metrics/decisions and data/goals."""
    run = stage.row(arguments, "goals")
    settings = Settings.load(row=run)
    outcome = try_goals(
        Path("data/models") / run,
        Path("data/shards"),
        Path(f"data/embeddings/{run}.parquet"),
        settings.wanted,
        settings.decision,
        settings.search,
        settings.attack,
        settings.seed,
    )
    publish_csv(clips_csv(outcome), Path(f"data/goals/{run}.csv"))
    publish_csv(success_csv(outcome, settings.confidence), Path(f"metrics/goals/{run}.csv"))
    publish_csv(decisions_csv(outcome), Path(f"metrics/decisions/{run}.csv"))
    publish_json(figures(outcome), Path(f"metrics/goals/{run}.json"))


if __name__ == "__main__":
    stage.run(main)
