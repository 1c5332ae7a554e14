"""Compose music against a run and play it to the eval clips: what is left of its mAP."""

from pathlib import Path
from typing import Annotated

from mmlib.evaluation.attacked.domain import front_end
from mmlib.evaluation.music.music import measure
from mmlib.evaluation.music.table import figures_of, notes_csv, scored, scores_csv, write_examples
from mmlib.params.music import MusicRun, MusicSettings
from mmlib.runtime import stage
from mmlib.runtime.scratch import publish_csv, publish_file, publish_json
from mmlib.runtime.settings import At, Part, Seed, StageSettings

SHARDS = Path("data/shards")


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    seed: Seed
    loss: Annotated[str, At("attack.loss")]
    wanted: Annotated[MusicRun, At("music.runs.{row}")]
    music: Annotated[MusicSettings, Part("music")]
    confidence: Annotated[float, At("score.confidence")]
    common_with: Annotated[str, At("score.common_with")]


def main(arguments: list[str]) -> None:
    """Write metrics/music/<run>.csv and .json, data/music/<run>.csv and <run>-examples.parquet."""
    run = stage.row(arguments, "music")
    settings = Settings.load(row=run)
    outcome = measure(
        Path("data/models") / run,
        SHARDS,
        settings.wanted,
        settings.music,
        settings.loss,
        settings.seed,
        common_with=Path(settings.common_with),
    )
    clean, means = scored(outcome, run, settings.confidence)
    rate = front_end(SHARDS).sample_rate_hz
    publish_file(
        lambda path: write_examples(outcome, rate, path),
        Path(f"data/music/{run}-examples.parquet"),
    )
    publish_csv(notes_csv(outcome), Path(f"data/music/{run}.csv"))
    publish_csv(scores_csv(clean, means, settings.confidence), Path(f"metrics/music/{run}.csv"))
    publish_json(figures_of(clean, means), Path(f"metrics/music/{run}.json"))


if __name__ == "__main__":
    stage.run(main)
