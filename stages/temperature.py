"""Turn the class-wise metrics of the plain runs into a guide of mixup."""

from pathlib import Path
from typing import Annotated

from mmlib.params.retraining import MixupRule
from mmlib.params.training import Parts
from mmlib.retraining.guide import to_json
from mmlib.retraining.temperature import Measured, make_guide
from mmlib.runtime import stage
from mmlib.runtime.scratch import publish_text
from mmlib.runtime.settings import At, StageSettings


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    rule: Annotated[MixupRule, At("temperature.rule")]
    runs: Annotated[Parts, At("temperature.guides.{row}")]


def main(arguments: list[str]) -> None:
    """Write data/guides/<guide>.json."""
    guide = stage.row(arguments, "temperature", "GUIDE")
    settings = Settings.load(row=guide)
    measured = {
        name: Measured(
            geometry=Path(f"data/geometry/{run}.csv"),
            embeddings=Path(f"data/embeddings/{run}.parquet"),
            weights=Path(f"data/models/{run}.safetensors"),
        )
        for name, run in settings.runs.model_dump().items()
    }
    text = to_json(*make_guide(measured, settings.rule))
    publish_text(text, Path(f"data/guides/{guide}.json"))


if __name__ == "__main__":
    stage.run(main)
