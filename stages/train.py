"""Train one run of params.train: its nets, on the shards, steered by its guide."""

from pathlib import Path
from typing import Annotated

from mmlib.models import checkpoint, ranks
from mmlib.params.training import Augment, Batches, Learning, ModelSizes, Optimiser, TrainRun
from mmlib.runtime import stage
from mmlib.runtime.scratch import publish_csv, publish_json
from mmlib.runtime.seeds import derive
from mmlib.runtime.settings import At, Seed, StageSettings
from mmlib.training.parallel import over_ranks
from mmlib.training.train import train

DATA = Path("data")


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    seed: Seed
    model: ModelSizes
    optimiser: Optimiser
    augment: Augment
    batches: Batches
    row: Annotated[TrainRun, At("train.{row}")]


def main(arguments: list[str]) -> None:
    """Write data/models/<run>.*, metrics/training/<run>.csv and metrics/costs/<run>.json."""
    run = stage.row(arguments, "train")
    settings = Settings.load(row=run)
    model, described, history, scratch = train(
        settings.row,
        settings.model,
        Learning(settings.optimiser, settings.augment, settings.batches),
        DATA,
        name=f"train-{run}",
        seed=derive(settings.seed, run),
    )
    if not ranks.is_first():
        return
    checkpoint.save(model, DATA / "models" / run, {"run": run, **described})
    publish_csv(history.csv(), Path(f"metrics/training/{run}.csv"))
    publish_json(history.costs.as_dict(), Path(f"metrics/costs/{run}.json"))
    scratch.finish()


if __name__ == "__main__":
    stage.run(over_ranks(main))
