"""Make training shards of the decoded clips: log-mel, frames, labels, and their manifest."""

from pathlib import Path

from mmlib import params
from mmlib.runtime import stage
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import publish_file
from mmlib.shards.ledger import (
    LEDGER_NAME,
    write_manifest_csv,
)
from mmlib.shards.make.shard import make_shards


def main(arguments: list[str]) -> None:
    """Write data/shards/ and metrics/eval_clips.csv."""
    if arguments:
        raise UserError("usage: python -m stages.shard")
    out = Path("data/shards")
    ledger = make_shards(Path("data/decoded"), out, params.load().shard)
    publish_file(
        lambda path: write_manifest_csv(out / LEDGER_NAME, path), Path("metrics/eval_clips.csv")
    )
    print("\n".join(ledger.lines()))


if __name__ == "__main__":
    stage.run(main)
