"""Estimate a guide of Gradient-Blending: the weights of the heads A, V and AV."""

from pathlib import Path
from typing import Annotated

from mmlib.params.training import Parts
from mmlib.runtime import stage
from mmlib.runtime.scratch import publish_json
from mmlib.runtime.settings import At, StageSettings
from mmlib.training.gblend import HEADS, estimate, read_curve


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    runs: Annotated[Parts, At("blend.guides.{row}")]
    from_epoch: Annotated[int, At("blend.from_epoch")]
    to_epoch: Annotated[int | None, At("blend.to_epoch")]


def main(arguments: list[str]) -> None:
    """Write data/guides/<guide>.json."""
    guide = stage.row(arguments, "blend", "GUIDE")
    settings = Settings.load(row=guide)
    runs = dict(zip(HEADS, settings.runs.model_dump().values(), strict=True))
    curves = {head: read_curve(Path(f"metrics/training/{run}.csv")) for head, run in runs.items()}
    found = estimate(curves, settings.from_epoch, settings.to_epoch)
    weights = {
        "heads": {head: one.weight for head, one in found.items()},
        "dG": {head: one.generalisation for head, one in found.items()},
        "dO": {head: one.overfitting for head, one in found.items()},
        "runs": runs,
    }
    publish_json(weights, Path(f"data/guides/{guide}.json"))


if __name__ == "__main__":
    stage.run(main)
