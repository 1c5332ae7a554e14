"""Attack a run's audio, video and both at every budget of the sweep, beside equal-norm noise."""

from pathlib import Path

from mmlib.evaluation.sweep.attack import attack_split
from mmlib.params.attacks import Attack
from mmlib.runtime import stage
from mmlib.runtime.settings import Seed, StageSettings


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    seed: Seed
    attack: Attack


def main(arguments: list[str]) -> None:
    """Write data/attacks/<run>.parquet, <run>-examples.parquet and <run>-surface.parquet."""
    run = stage.row(arguments, "attack")
    settings = Settings.load()
    attack_split(
        shards=Path("data/shards"),
        model=Path("data/models") / run,
        out=Path("data/attacks"),
        settings=settings.attack,
        seed=settings.seed,
    )


if __name__ == "__main__":
    stage.run(main)
