"""Play every run's perturbations to every run: what is left of each one's mAP."""

from pathlib import Path
from typing import Annotated, Any

from mmlib.evaluation.transfer.table import figures, matrix_csv
from mmlib.evaluation.transfer.transfer import measure
from mmlib.params.attacks import Attack
from mmlib.params.score import Score
from mmlib.params.transfer import TransferRow, UniversalFit
from mmlib.runtime import stage
from mmlib.runtime.scratch import publish_csv, publish_json
from mmlib.runtime.settings import At, Seed, StageSettings


class Settings(StageSettings):
    """What this stage reads of params.yaml; of the rows that are runs their names."""

    seed: Seed
    attack: Attack
    wanted: Annotated[TransferRow, At("transfer.rows.{row}")]
    universal: Annotated[UniversalFit, At("transfer.universal")]
    score: Score
    train: dict[str, Any]
    retrain: dict[str, Any]
    models: dict[str, Any]


def main(arguments: list[str]) -> None:
    """Write metrics/transfer/<row>.csv and <row>.json."""
    row = stage.row(arguments, "transfer", "ROW")
    settings = Settings.load(row=row)
    cells = measure(
        row,
        settings.wanted,
        settings.universal,
        (*settings.train, *settings.retrain, *settings.models),
        Path("data/models"),
        Path("data/shards"),
        settings.attack,
        settings.score,
        settings.seed,
    )
    publish_csv(matrix_csv(cells, settings.attack.eps), Path(f"metrics/transfer/{row}.csv"))
    publish_json(figures(cells), Path(f"metrics/transfer/{row}.json"))


if __name__ == "__main__":
    stage.run(main)
