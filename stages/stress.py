"""Score runs on clips that no attacker touched: corrupted, encoded again, out of time."""

from pathlib import Path
from typing import Annotated, Any

from mmlib.params.decode import Decode
from mmlib.params.stress import Stress
from mmlib.runtime import stage
from mmlib.runtime.scratch import publish_csv, publish_json
from mmlib.runtime.settings import At, Seed, StageSettings

OUT = Path("metrics/stress")


class Settings(StageSettings):
    """What this stage reads of params.yaml; of the rows that are runs the names and the starts."""

    seed: Seed
    decode: Decode
    stress: Stress
    confidence: Annotated[float, At("score.confidence")]
    common_with: Annotated[str, At("score.common_with")]
    train: dict[str, Any]
    retrain: dict[str, Any]
    models: dict[str, Any]


def main(arguments: list[str]) -> None:
    """Write metrics/stress/scores.csv, means.csv, differences.csv and means.json.

    Without a run they are empty, and nothing is loaded that takes long.
    """
    stage.no_row(arguments, "stress")
    settings = Settings.load()
    runs = settings.stress.chosen((*settings.train, *settings.retrain, *settings.models))
    found: dict[str, Any] = dict.fromkeys(("scores", "means", "differences"), "\n")
    figures: dict[str, Any] = {}
    if runs:
        # torch alone takes seconds, which a project that does without this stage does not pay.
        from mmlib.evaluation.stress.stress import Places, measure, origins_of

        data = Path("data")
        tables = measure(
            Places(data / "clips", data / "shards", data / "models"),
            runs,
            settings.stress,
            settings.decode,
            settings.seed,
            confidence=settings.confidence,
            common_with=Path(settings.common_with),
            origins=origins_of(settings.retrain, runs),
        )
        found, figures = tables.texts, tables.figures
    for name, text in found.items():
        publish_csv(text, OUT / f"{name}.csv")
    publish_json(figures, OUT / "means.json")


if __name__ == "__main__":
    stage.run(main)
