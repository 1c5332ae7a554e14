"""Estimate a guide of Gradient-Blending: the weights of the heads A, V and AV."""

import sys
from pathlib import Path
from typing import Annotated

from mmlib.models import ranks
from mmlib.params.training import (
    Augment,
    Batches,
    BlendGuide,
    Learning,
    ModelSizes,
    Optimiser,
    TrainRun,
)
from mmlib.runtime import stage
from mmlib.runtime.scratch import publish_json
from mmlib.runtime.seeds import derive
from mmlib.runtime.settings import At, Seed, StageSettings
from mmlib.training.gblend import guide_of
from mmlib.training.parallel import over_ranks
from mmlib.training.train import train_heads

DATA = Path("data")


class Settings(StageSettings):
    """What this stage reads of params.yaml; `start` is the run whose start the heads take."""

    seed: Seed
    model: ModelSizes
    optimiser: Optimiser
    augment: Augment
    batches: Batches
    row: Annotated[BlendGuide, At("blend.guides.{row}")]
    from_epoch: Annotated[int, At("blend.from_epoch")]
    to_epoch: Annotated[int | None, At("blend.to_epoch")]
    start: Annotated[TrainRun, At("train.{init}")]


class _Row(StageSettings):
    row: Annotated[BlendGuide, At("blend.guides.{row}")]


def main(arguments: list[str]) -> None:
    """Write data/guides/<guide>.json."""
    guide = stage.row(arguments, "blend", "GUIDE")
    init = _Row.load(row=guide).row.init
    settings = Settings.load(row=guide, init=init)
    seed = derive(settings.seed, "blend", guide)
    fitted = train_heads(
        settings.start,
        settings.model,
        Learning(settings.optimiser, settings.augment, settings.batches),
        DATA,
        name=f"blend-{guide}",
        seed=seed,
    )
    if not ranks.is_first():
        return
    epochs = settings.from_epoch, settings.to_epoch
    found = guide_of(fitted.history.clips, *epochs, seed=derive(seed, "bootstrap"))
    costs = fitted.history.costs
    passes = {"forward": costs.forward_passes, "backward": costs.backward_passes}
    publish_json({**found, "init": init, "passes": passes}, DATA / f"guides/{guide}.json")
    print(f"{guide}: {found['why']}", file=sys.stderr)
    fitted.scratch.finish()


if __name__ == "__main__":
    stage.run(over_ranks(main))
