"""Kill -9 download, decode and shard at random moments; the shards must not show it.

`python -m tests.kills 20` does it 20 times and says what came of it; a test does it a few times.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from mmlib.media.ffmpeg import Limits
from mmlib.media.graph import Form
from mmlib.params.data import Data
from mmlib.shards.decode import decode_clips
from mmlib.shards.make.shard import make_shards
from mmlib.sources import folder
from mmlib.sources.download import download
from tests.decoded_shards import RATE, SETTINGS
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


def run_stages(clips: Path, root: Path) -> None:
    """The three stages, each unless its out is there; a line on stdout as each begins to work."""
    scratch = root / "scratch"
    settings = SimpleNamespace(source="folder", path=str(clips), media="copy", task="single_label")
    if not (root / "clips").exists():
        listed = folder.clip_list(cast(Data, settings), seed=0)
        print("clips", flush=True)
        download(listed, root / "clips", shard_clips=1, max_failed_share=0.0, scratch_root=scratch)
    if not (root / "decoded").exists():
        print("decoded", flush=True)
        form = Form(RATE, fps=4.0, size=16)
        decode_clips(
            root / "clips", root / "decoded", form, Limits(),
            max_failed_share=0.0, scratch_root=scratch,
        )  # fmt: skip
    if not (root / "shards").exists():
        print("shards", flush=True)
        make_shards(root / "decoded", root / "shards", SETTINGS, scratch_root=scratch)


def trial(root: Path, kills: int, clips: int, seed: int = 0) -> Trial:
    """Run uninterrupted, then with kills; moments are uniform over a third of each stage's time."""
    source = write_folder(root / "in", small_rows(clips, 4, 4))
    whole, broken = root / "whole", root / "broken"
    seconds = _uninterrupted(source, whole)
    moments = random.Random(seed)
    found = Trial()
    aims = [STAGES[number * len(STAGES) // kills] for number in range(kills)]
    while True:
        aim = aims.pop(0) if aims else None
        found.runs += 1
        with _started(source, broken) as process:
            stage = _killed(process, aim, moments, seconds)
            if stage:
                found.kills[stage] += 1
            if process.wait() == 0 and not aims:
                break
            assert stage or process.returncode == 0, f"it failed with {process.returncode}"
    for stage in STAGES:
        files = {path.name: path.read_bytes() for path in (whole / stage).iterdir()}
        others = {path.name: path.read_bytes() for path in (broken / stage).iterdir()}
        found.files += len(files)
        names = files.keys() | others.keys()
        found.different += [f"{stage}/{n}" for n in names if files.get(n) != others.get(n)]
    return found


def _started(source: Path, root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.kills", "--run", str(source), str(root)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,
    )  # fmt: skip


def _uninterrupted(source: Path, root: Path) -> dict[str, float]:
    begins: dict[str, float] = {}
    with _started(source, root) as process:
        assert process.stdout is not None
        for line in process.stdout:
            begins[line.strip()] = time.monotonic()
    assert process.returncode == 0
    ends = [*list(begins.values())[1:], time.monotonic()]
    return {name: end - begins[name] for name, end in zip(begins, ends, strict=True)}


def _killed(
    process: subprocess.Popen[str],
    aim: str | None,
    moments: random.Random,
    seconds: dict[str, float],
) -> str | None:
    """Kill the whole group a random while after the stage `aim`, or one after it, has begun."""
    assert process.stdout is not None
    stage = None
    while aim and (stage is None or STAGES.index(stage) < STAGES.index(aim)):
        line = process.stdout.readline().strip()
        if not line:
            return None
        stage = line
    if stage is None:
        return None
    try:
        process.wait(moments.uniform(0, seconds[stage] / 3))
        return None
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return stage


def main() -> None:
    """Run the stages, or a trial in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=20)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=Path, nargs=2)
    arguments = parser.parse_args()
    if arguments.run:
        run_stages(*arguments.run)
        return
    with tempfile.TemporaryDirectory() as folder_name:
        found = trial(Path(folder_name), arguments.kills, arguments.clips, arguments.seed)
    same = found.files - len(found.different)
    print(f"{found.kills.total()} kills in {found.runs} runs: {dict(found.kills)}")
    print(f"{same} of {found.files} files are byte for byte those of an uninterrupted run")
    sys.exit(bool(found.different))


if __name__ == "__main__":
    main()
