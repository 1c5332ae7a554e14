"""Turn the class-wise metrics of the plain runs into a guide of mixup."""

import sys
from pathlib import Path
from typing import Annotated

from mmlib.params.retraining import MixupGuide, MixupRule
from mmlib.retraining.guide import to_json
from mmlib.retraining.temperature import FUSED, Measured, make_guide
from mmlib.runtime import stage
from mmlib.runtime.scratch import publish_text
from mmlib.runtime.settings import At, StageSettings
from mmlib.threats import MODALITIES


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    rule: Annotated[MixupRule, At("temperature.rule")]
    guide: Annotated[MixupGuide, At("temperature.guides.{row}")]


def main(arguments: list[str]) -> None:
    """Write data/guides/<guide>.json."""
    name = stage.row(arguments, "temperature", "GUIDE")
    settings = Settings.load(row=name)
    measured = {
        part: Measured(
            geometry=Path(f"data/geometry/{run}.csv"),
            embeddings=Path(f"data/embeddings/{run}.parquet"),
            weights=Path(f"data/models/{run}.safetensors"),
        )
        for part in (*MODALITIES, FUSED)
        for run in (getattr(settings.guide, part),)
    }
    guide, dose, account = make_guide(measured, settings.rule, settings.guide.strength)
    publish_text(to_json(guide, account), Path(f"data/guides/{name}.json"))
    print(f"{name}, strength {settings.guide.strength:g}: {dose.sentence()}", file=sys.stderr)


if __name__ == "__main__":
    stage.run(main)
