"""Cache a run's embeddings and logits of every clip of every split."""

from pathlib import Path

from mmlib.models import checkpoint, devices
from mmlib.models.embed import write_embeddings
from mmlib.models.predict import predict_splits
from mmlib.params.geometry import Embed
from mmlib.runtime import stage
from mmlib.runtime.settings import StageSettings
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import filled_splits

SPLITS = ("train", "val", "eval")


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    embed: Embed


def main(arguments: list[str]) -> None:
    """Write data/embeddings/<run>.parquet."""
    run = stage.row(arguments, "embed")
    size = Settings.load().embed.batch_size
    device = devices.select()
    model, description = checkpoint.load(Path("data/models") / run, device)
    shards = Path("data/shards")
    there = [split for split in SPLITS if split in filled_splits(shards)]
    splits = {split: ShardSet(shards, split, waveform=model.waveform) for split in there}
    write_embeddings(
        Path(f"data/embeddings/{run}.parquet"),
        predict_splits(model, splits, batch_size=size, device=device),
        classes=description["classes"],
        task=description["task"],
        run=run,
    )


if __name__ == "__main__":
    stage.run(main)
