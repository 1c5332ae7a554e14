"""Kill -9 download, decode and shard at random operations; the shards must not show it.

`python -m tests.kills 20` does it 20 times and says what came of it; a test does it a few times.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import ANY

from mmlib.media.ffmpeg import Limits
from mmlib.media.graph import Form
from mmlib.params.data import Data
from mmlib.shards.decode import decode_clips
from mmlib.shards.make.shard import make_shards
from mmlib.sources import folder
from mmlib.sources.download import download
from tests.decoded_shards import RATE, SETTINGS
from tests.moments import count_operations
from tests.samples import small_rows, write_folder

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("clips", "decoded", "shards")


@dataclass
class Trial:
    """Kills by the stage that was at work, runs it took, and files that differ at the end."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    different: list[str] = field(default_factory=list)
    files: int = 0


def run_stages(clips: Path, root: Path, log: Path, aim: str = "", end: int = 0) -> None:
    """The three stages, each unless its out is there.

    As each begins, a line on stdout: its name, and how many operations the log counts. With `aim`,
    the process group is killed before operation `end` of that stage, or of one after it.
    """
    counting = False

    def begin(stage: str) -> None:
        nonlocal counting
        print(stage, log.stat().st_size if counting else 0, flush=True)
        if not counting and STAGES.index(stage) >= STAGES.index(aim or STAGES[0]):
            counting = True
            count_operations(log, end if aim else None)

    for stage in STAGES:
        if not (root / stage).exists():
            begin(stage)
            run_stage(stage, clips, root)


def run_stage(stage: str, clips: Path, root: Path) -> None:
    """Make `root`/<stage> of what the stage before has made, or of the folder `clips`."""
    scratch = root / "scratch"
    if stage == "clips":
        own = SimpleNamespace(source="folder", path=str(clips), media="copy", task="single_label")
        listed = folder.clip_list(cast(Data, own), seed=0)
        download(listed, root / "clips", shard_clips=1, max_failed_share=0.0, scratch_root=scratch)
    elif stage == "decoded":
        form = Form(RATE, fps=4.0, size=16)
        decode_clips(
            root / "clips", root / "decoded", form, Limits(),
            max_failed_share=0.0, scratch_root=scratch,
        )  # fmt: skip
    else:
        make_shards(root / "decoded", root / "shards", SETTINGS, scratch_root=scratch)


def trial(root: Path, kills: int, clips: int, seed: int = 0) -> Trial:
    """Run uninterrupted, then with kills, uniform over a third of each stage's operations."""
    source = write_folder(root / "in", small_rows(clips, 4, 4))
    whole, broken = root / "whole", root / "broken"
    operations = _uninterrupted(source, whole, root / "log")
    moments = random.Random(seed)
    found = Trial()
    for number in range(kills):
        aim = STAGES[number * len(STAGES) // kills]
        end = moments.randrange(max(1, operations[aim] // 3))
        found.runs += 1
        ended, lines = _run(source, broken, root / f"log{number}", aim, str(end))
        if ended == -signal.SIGKILL:
            found.kills[lines[-1].split()[0]] += 1
        else:
            assert ended == 0, f"it failed with {ended}"
    found.runs += 1
    assert _run(source, broken, root / "last") == (0, ANY)
    for stage in STAGES:
        files = {path.name: path.read_bytes() for path in (whole / stage).iterdir()}
        others = {path.name: path.read_bytes() for path in (broken / stage).iterdir()}
        found.files += len(files)
        names = files.keys() | others.keys()
        found.different += [f"{stage}/{n}" for n in names if files.get(n) != others.get(n)]
    return found


def _run(source: Path, root: Path, log: Path, *aim: str) -> tuple[int, list[str]]:
    """Exit status and lines of the stages in a process group of their own."""
    command = [sys.executable, "-m", "tests.kills", "--run", str(source), str(root), str(log)]
    done = subprocess.run(
        [*command, *aim],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False,
        start_new_session=True,
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines()


def _uninterrupted(source: Path, root: Path, log: Path) -> dict[str, int]:
    """How many operations each stage takes."""
    ended, lines = _run(source, root, log)
    assert ended == 0
    begins = {line.split()[0]: int(line.split()[1]) for line in lines}
    ends = [*list(begins.values())[1:], log.stat().st_size]
    return {name: end - begins[name] for name, end in zip(begins, ends, strict=True)}


def main() -> None:
    """Run the stages, or a trial in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=20)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", nargs="+")
    arguments = parser.parse_args()
    if arguments.run:
        source, root, log = map(Path, arguments.run[:3])
        aim, end = arguments.run[3:] or ("", "0")
        run_stages(source, root, log, aim, int(end))
        return
    with tempfile.TemporaryDirectory() as folder_name:
        found = trial(Path(folder_name), arguments.kills, arguments.clips, arguments.seed)
    same = found.files - len(found.different)
    print(f"{found.kills.total()} kills in {found.runs} runs: {dict(found.kills)}")
    print(f"{same} of {found.files} files are byte for byte those of an uninterrupted run")
    sys.exit(bool(found.different))


if __name__ == "__main__":
    main()
