"""Cache a run's embeddings and logits of every clip of every split."""

from pathlib import Path

from mmlib.models.embed import embed_run
from mmlib.params.geometry import Embed
from mmlib.runtime import stage
from mmlib.runtime.settings import StageSettings


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    embed: Embed


def main(arguments: list[str]) -> None:
    """Write data/embeddings/<run>.parquet."""
    run = stage.row(arguments, "embed")
    embed_run(
        Path("data/models") / run,
        Path("data/shards"),
        Path(f"data/embeddings/{run}.parquet"),
        Settings.load().embed.batch_size,
    )


if __name__ == "__main__":
    stage.run(main)
