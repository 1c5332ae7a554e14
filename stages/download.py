"""Get the clips of the chosen source as encoded media, one row per clip."""

from pathlib import Path
from typing import Annotated

from mmlib.params.data import Data
from mmlib.runtime import stage
from mmlib.runtime.settings import At, Seed, StageSettings
from mmlib.sources.catalogue import clip_list
from mmlib.sources.download import download


class Settings(StageSettings):
    """What this stage reads of params.yaml.

    Only whether a list is refused early depends on the last two, never what is written: stage shard
    declares them, so that changing them fetches nothing again.
    """

    seed: Seed
    data: Data
    same_source: Annotated[str, At("shard.leaks.same_source", declared=False)]
    untrained_classes: Annotated[str, At("shard.untrained_classes", declared=False)]


def main(arguments: list[str]) -> None:
    """Write data/clips."""
    stage.no_row(arguments, "download")
    settings = Settings.load()
    ledger = download(
        clip_list(settings.data, settings.seed),
        Path("data/clips"),
        shard_clips=settings.data.shard_clips,
        max_failed_share=settings.data.max_failed_share,
        same_source=settings.same_source,
        absent_classes=settings.untrained_classes,
    )
    print("\n".join(ledger.lines()))


if __name__ == "__main__":
    stage.run(main)
