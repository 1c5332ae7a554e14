"""Download, decode and shard of a few small clips, one stage a process, for whatever starts it.

`python -m tests.shared_stages STAGE CLIPS ROOT` makes ROOT/STAGE.
"""

import sys
from pathlib import Path

from mmlib.runtime import stage
from tests.kills import run_stage


def command(name: str, clips: Path, root: Path) -> list[str]:
    """The command of one stage."""
    return [sys.executable, "-m", "tests.shared_stages", name, str(clips), str(root)]


def outs(root: Path) -> dict[str, bytes]:
    """What the stages have published, by path."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for name in ("clips", "decoded", "shards")
        for path in sorted((root / name).rglob("*"))
        if path.is_file()
    }


def main(arguments: list[str]) -> None:
    """Run one stage."""
    name, clips, root = arguments
    run_stage(name, Path(clips), Path(root))


if __name__ == "__main__":
    stage.run(main, check=False)
