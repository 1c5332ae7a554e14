"""Retrain one run of params.retrain from its init: by mixup, under attack, or plainly."""

from pathlib import Path
from typing import Annotated

from mmlib.models import checkpoint, ranks
from mmlib.params.retraining import RetrainRun
from mmlib.params.training import Augment, Batches, Learning, Optimiser
from mmlib.retraining.retrain import retrain
from mmlib.runtime import stage
from mmlib.runtime.scratch import publish_csv, publish_json
from mmlib.runtime.seeds import derive
from mmlib.runtime.settings import At, Seed, StageSettings
from mmlib.training.parallel import over_ranks

DATA = Path("data")


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    seed: Seed
    optimiser: Optimiser
    augment: Augment
    batches: Batches
    row: Annotated[RetrainRun, At("retrain.{row}")]


def main(arguments: list[str]) -> None:
    """Write data/models/<run>.*, metrics/training/<run>.csv and metrics/costs/<run>.json."""
    run = stage.row(arguments, "retrain")
    settings = Settings.load(row=run)
    row = settings.row
    model, described, history, scratch = retrain(
        row,
        Learning(settings.optimiser, settings.augment, settings.batches),
        DATA,
        name=f"retrain-{run}",
        seed=derive(settings.seed, run),
    )
    if not ranks.is_first():
        return
    described = {"run": run, "init": row.init, "method": row.method, **described}
    checkpoint.save(model, DATA / "models" / run, described)
    publish_csv(history.csv(), Path(f"metrics/training/{run}.csv"))
    publish_json(history.costs.as_dict(), Path(f"metrics/costs/{run}.json"))
    scratch.finish()


if __name__ == "__main__":
    stage.run(over_ranks(main))
