"""Make training shards of the decoded clips: log-mel, frames, labels, and their manifest."""

from pathlib import Path

from mmlib import params, stage
from mmlib.errors import UserError
from mmlib.sharding import make_shards


def main(arguments: list[str]) -> None:
    """Write data/shards/."""
    if arguments:
        raise UserError("usage: python -m stages.shard")
    ledger = make_shards(Path("data/decoded"), Path("data/shards"), params.load().shard)
    print("\n".join(ledger.lines()))


if __name__ == "__main__":
    stage.run(main)
