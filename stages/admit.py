"""Admit a model of one's own: made by its factory, its contract tried on clips, then described."""

from pathlib import Path
from typing import Annotated

from mmlib.models import checkpoint
from mmlib.models.admitting import admitted
from mmlib.params.training import ModelRow
from mmlib.runtime import stage
from mmlib.runtime.settings import At, StageSettings

DATA = Path("data")


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    row: Annotated[ModelRow, At("models.{row}")]
    domain: Annotated[str, At("attack.domain")]


def main(arguments: list[str]) -> None:
    """Write data/models/<run>.json, and its head in data/models/<run>.safetensors."""
    run = stage.row(arguments, "admit")
    settings = Settings.load(row=run)
    model, described = admitted(run, settings.row, DATA / "shards", settings.domain)
    checkpoint.save(model, DATA / "models" / run, {"run": run, **described})


if __name__ == "__main__":
    stage.run(main)
