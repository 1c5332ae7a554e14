"""Make training shards of the decoded clips: log-mel, frames, labels, and their manifest."""

from pathlib import Path

from mmlib.params.shard import Shard
from mmlib.runtime import stage
from mmlib.runtime.settings import StageSettings
from mmlib.shards.make.shard import make_shards
from mmlib.shards.rows.ledger import LEDGER_NAME, write_manifest_csv


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    shard: Shard


def main(arguments: list[str]) -> None:
    """Write data/shards/ and metrics/eval_clips.csv."""
    stage.no_row(arguments, "shard")
    out = Path("data/shards")
    ledger = make_shards(Path("data/decoded"), out, Settings.load().shard)
    write_manifest_csv(out / LEDGER_NAME, Path("metrics/eval_clips.csv"))
    print("\n".join(ledger.lines()))


if __name__ == "__main__":
    stage.run(main)
