"""Turn the class-wise metrics of the plain runs into the guide of mixup."""

from pathlib import Path

from mmlib import params
from mmlib.retraining.guide import to_json
from mmlib.retraining.guided import (
    Measured,
    make_guide,
)
from mmlib.runtime import stage
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import publish_text


def main(arguments: list[str]) -> None:
    """Write data/guides/temperature.json."""
    if arguments:
        raise UserError("usage: python -m stages.temperature")
    rule = params.load().temperature
    measured = {
        name: Measured(
            geometry=Path(f"data/geometry/{run}.csv"),
            embeddings=Path(f"data/embeddings/{run}.parquet"),
            weights=Path(f"data/models/{run}.safetensors"),
        )
        for name, run in rule.runs.model_dump().items()
    }
    publish_text(to_json(*make_guide(measured, rule)), Path("data/guides/temperature.json"))


if __name__ == "__main__":
    stage.run(main)
