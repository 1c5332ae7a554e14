"""Attack a run so that it survives encoding, and plainly, and score both after real encoding."""

from pathlib import Path
from typing import Annotated

from mmlib.evaluation.survival.survival import Places, measure
from mmlib.evaluation.survival.table import figures, survival_csv
from mmlib.params.decode import Decode
from mmlib.params.score import Score
from mmlib.params.survival import SurvivalAttack, SurvivalRun, Trial
from mmlib.runtime import stage
from mmlib.runtime.scratch import publish_csv, publish_json
from mmlib.runtime.settings import At, Seed, StageSettings


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    seed: Seed
    decode: Decode
    wanted: Annotated[SurvivalRun, At("survival.runs.{row}")]
    attack: Annotated[SurvivalAttack, At("survival.attack")]
    trial: Annotated[Trial, At("survival.trial")]
    loss: Annotated[str, At("attack.loss")]
    score: Score


def main(arguments: list[str]) -> None:
    """Write metrics/survival/<run>.csv and <run>.json."""
    run = stage.row(arguments, "survival")
    settings = Settings.load(row=run)
    scored = measure(
        Places(Path("data/clips"), Path("data/shards"), Path("data/models") / run),
        settings.wanted,
        settings.attack,
        settings.trial,
        settings.decode,
        settings.loss,
        settings.score,
        settings.seed,
    )
    publish_csv(survival_csv(scored), Path(f"metrics/survival/{run}.csv"))
    publish_json(figures(scored), Path(f"metrics/survival/{run}.json"))


if __name__ == "__main__":
    stage.run(main)
