"""From a list of real files to shards, killed once: what it takes, and whether every row is there.

A folder of --clips mp4 of a quarter of a second, H.264 and AAC: --distinct are encoded, each in one
split alone, and the list names each of them many times, as clips of their own. One row in a hundred
names a file that is absent, cut in half, or no media. Stages download, decode and shard run as DVC
runs them; decode is killed (SIGKILL, with all that it started) once half of its pieces are there,
and run again. With --folder, what is there is taken up.
"""

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from bench.memory import CLASSES, PARAMS
from bench.tables import table
from mmlib.media.encode import encode
from mmlib.runtime.code import ROOT
from mmlib.runtime.scratch import publish_text
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.rows.clips import OK, SPLITS
from mmlib.shards.rows.ledger import LEDGER_NAME, read_rows
from tools import profiles

OUTS = {"download": "clips", "decode": "decoded", "shard": "shards"}
_BAD = ("absent", "cut", "text")
_BAD_EVERY = 100
_RATE_HZ, _FPS, _SIZE, _SECONDS = 16000, 8.0, 32, 0.25
_PROFILE = """
data:
  source: folder
  path: {folder}
  max_failed_share: 0.05
"""


def write_media(folder: Path, distinct: int) -> None:
    """Noise to hear and to see, another one in each file; and what cannot be decoded."""
    folder.mkdir()
    for number in range(distinct):
        rng = np.random.default_rng(number)
        shape = (round(_FPS * _SECONDS), _SIZE // 8, _SIZE // 8, 1)
        coarse = rng.integers(256, size=shape, dtype=np.uint8)
        frames = np.repeat(coarse.repeat(8, 1).repeat(8, 2), 3, 3)
        pcm = (8000 * rng.standard_normal(round(_RATE_HZ * _SECONDS))).clip(-32768, 32767)
        (folder / f"{number}.mp4").write_bytes(encode(frames, pcm.astype(np.int16), fps=_FPS))
    whole = (folder / "0.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "text.mp4").write_text("no media\n" * 100, encoding="utf-8")


def write_list(folder: Path, clips: int, distinct: int) -> None:
    """labels.csv: eight rows in ten for training, each file in one split alone."""
    lines = ["clip_id,path,labels,split,source_id"]
    for place in range(clips):
        split = max(0, place % 10 - 7)
        files = range(split, distinct, len(SPLITS))
        name = str(files[place // 10 % len(files)])
        if place % _BAD_EVERY == _BAD_EVERY // 2:
            name = _BAD[place // _BAD_EVERY % len(_BAD)]
        label = CLASSES[place // 10 % len(CLASSES)]
        lines.append(f"clip{place:07d},{name}.mp4,{label},{SPLITS[split]},source{place:07d}")
    publish_text("\n".join(lines), folder / "labels.csv")


def begin(project: Path, clips: int, distinct: int) -> None:
    """Media, list and params."""
    (project / "profiles").mkdir(parents=True)
    shutil.copytree(ROOT / "data/none", project / "data/none")
    write_media(project / "media", distinct)
    write_list(project / "media", clips, distinct)
    for source in (ROOT / "profiles/tiny.yaml", PARAMS):
        shutil.copy(source, project / "profiles")
    own = project / "profiles/list.yaml"
    own.write_text(_PROFILE.format(folder=project / "media"), encoding="utf-8")
    shutil.copy(ROOT / "params.yaml", project)
    profiles.apply("tiny memory list", project / "profiles", project / "params.yaml")


def run(project: Path, stage: str, kill_after: int = 0) -> None:
    """Run a stage; with `kill_after`, kill it once so many pieces are in its scratch."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", f"stages.{stage}"], cwd=project,
        env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    while kill_after and process.poll() is None:
        if len(list(project.glob(f"scratch/{stage}-*/*.parquet"))) >= kill_after:
            os.killpg(process.pid, signal.SIGKILL)
            print(f"{stage} killed after {kill_after} pieces", flush=True)
        time.sleep(0.2)
    if process.wait() and not kill_after:
        raise SystemExit(f"stage {stage} failed")


def account(project: Path, clips: int) -> list[tuple[str, ...]]:
    """How many rows ended how, after holding the ledger and the shards to the list."""
    listed = (project / "media/labels.csv").read_text(encoding="utf-8").splitlines()[1:]
    of_split: dict[str, list[str]] = {split: [] for split in SPLITS}
    for line in listed:
        clip_id, _, _, split, _ = line.split(",")
        of_split[split].append(clip_id)
    shards = project / "data/shards"
    names = ["clip_id", "split", "status", "stage", "error"]
    rows = [row for part in read_rows(shards / LEDGER_NAME, names) for row in part.to_pylist()]
    if [row["clip_id"] for row in rows] != [name for s in SPLITS for name in of_split[s]]:
        raise SystemExit("the ledger does not hold the rows of the list")
    for split in SPLITS:
        good = [row["clip_id"] for row in rows if row["split"] == split and row["status"] == OK]
        if list(ShardSet(shards, split).clip_ids) != good:
            raise SystemExit(f"the shards of {split} are not the ledger's good rows")
    ends = Counter((row["status"], row["stage"] or "", row["error"] or "") for row in rows)
    assert sum(ends.values()) == len(rows) == clips
    return [(*end, str(count)) for end, count in sorted(ends.items())]


def _spent() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def main() -> None:
    """Print the times and the account."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--distinct", type=int, default=300)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        project = (options.folder or Path(temporary)).resolve() / "list"
        if not (project / "params.yaml").exists():
            begin(project, options.clips, options.distinct)
        times = []
        for stage, out in OUTS.items():
            if (project / "data" / out).exists():
                continue
            before, start = _spent(), time.monotonic()
            if stage == "decode":
                run(project, stage, len(list(project.glob("data/clips/*.parquet"))) // 2)
            run(project, stage)
            core = _spent() - before
            cells = (core, time.monotonic() - start, 1000 * core / options.clips)
            times.append((stage, *(f"{cell:.1f}" for cell in cells)))
        print(table(("stage", "s of a core", "s elapsed", "ms of a core a clip"), times))
        print()
        print(table(("status", "stage", "error", "clips"), account(project, options.clips)))


if __name__ == "__main__":
    main()
