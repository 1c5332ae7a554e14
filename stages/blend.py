"""Estimate the Gradient-Blending weights from the loss histories of the plain runs."""

from pathlib import Path

from mmlib import params
from mmlib.runtime import stage
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import publish_json
from mmlib.training.gblend import (
    HEADS,
    estimate,
    read_curve,
)


def main(arguments: list[str]) -> None:
    """Write data/guides/blend.json."""
    if arguments:
        raise UserError("usage: python -m stages.blend")
    settings = params.load().blend
    runs = dict(zip(HEADS, settings.runs.model_dump().values(), strict=True))
    curves = {head: read_curve(Path(f"metrics/training/{run}.csv")) for head, run in runs.items()}
    found = estimate(curves, settings.from_epoch, settings.to_epoch)
    guide = {
        "heads": {head: one.weight for head, one in found.items()},
        "dG": {head: one.generalisation for head, one in found.items()},
        "dO": {head: one.overfitting for head, one in found.items()},
        "runs": runs,
    }
    publish_json(guide, Path("data/guides/blend.json"))


if __name__ == "__main__":
    stage.run(main)
