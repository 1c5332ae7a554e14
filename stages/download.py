"""Get the clips of the chosen source as encoded media, one row a clip."""

from pathlib import Path

from mmlib import params
from mmlib.runtime import stage
from mmlib.sources.catalogue import clip_list
from mmlib.sources.download import download


def main(arguments: list[str]) -> None:
    """Write data/clips."""
    settings = params.load()
    data = settings.data
    ledger = download(
        clip_list(data, settings.seed),
        Path("data/clips"),
        shard_clips=data.shard_clips,
        max_failed_share=data.max_failed_share,
        # Only whether the list is refused early depends on these, never what is written: dvc.yaml
        # names them at stage shard, so that changing them fetches nothing again.
        same_source=settings.shard.leaks.same_source,
        absent_classes=settings.shard.untrained_classes,
    )
    print("\n".join(ledger.lines()))


if __name__ == "__main__":
    stage.run(main)
