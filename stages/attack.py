"""Attack a run's audio, video and both at every budget of the sweep, beside equal-norm noise."""

from pathlib import Path

from mmlib import params
from mmlib.evaluation.sweep.attack import attack_split
from mmlib.runtime import stage
from mmlib.runtime.errors import UserError


def main(arguments: list[str]) -> None:
    """Write data/attacks/<run>.parquet, <run>-examples.parquet and <run>-surface.parquet."""
    if len(arguments) != 1:
        raise UserError("usage: python -m stages.attack RUN")
    settings = params.load()
    attack_split(
        shards=Path("data/shards"),
        model=Path("data/models") / arguments[0],
        out=Path("data/attacks"),
        settings=settings.attack,
        seed=settings.seed,
    )


if __name__ == "__main__":
    stage.run(main)
