"""Peak memory of every stage against the number of clips: it should stay flat.

A project of its own for each number, in --folder or a temporary one: clips of a quarter of a second
of noise and two small pictures, 20 classes, eight in ten for training, one for val and one for
eval; small nets, one epoch, one budget. Every stage runs in a process of its own, forked from one
that has imported what all need, with MMLIB_WORKERS (2) and nothing cached (MMLIB_CACHE_GB=0);
"driver" is that process, "worker" the largest below it. Bytes a clip are the slope from the number
of clips before, of both together; of a stage with several rows the largest counts. --stages runs
some alone. --ffmpeg also runs decode, whose rows are made up otherwise; survival needs ffmpeg in
any case. What a --folder holds is not done again.
"""

import argparse
import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.peaks import measured
from bench.tables import table
from mmlib.runtime.code import ROOT
from mmlib.shards.read import loader
from mmlib.shards.rows.clips import (
    DECODED_SCHEMA,
    OK,
    SPLITS,
    VOCABULARY_NAME,
    DecodedClip,
    Vocabulary,
    shard_name,
    write_rows,
    write_vocabulary,
)
from mmlib.sources.base import ClipList, Fetched, Request
from mmlib.sources.lazy import Computed
from tools import profiles

RUNS = ("audio", "video", "mid", "mixup", "own")
TRAINED = RUNS[:3]
STAGES = (
    "download",
    "decode",
    "shard",
    *(f"train {run}" for run in TRAINED),
    "blend blend",
    "admit own",
    *(f"{stage} {run}" for run in TRAINED for stage in ("embed", "geometry")),
    "temperature temperature",
    "retrain mixup",
    *(f"{stage} {run}" for run in RUNS[3:] for stage in ("embed", "geometry")),
    *(f"{stage} {run}" for run in RUNS for stage in ("attack", "score")),
    "check",
    "theorem mid",
    "goals mid",
    "methods mid",
    "transfer per_clip",
    "stress",
    "survival audio",
    "music audio",
    "certify mid",
    "study plain",
    "report",
)
CLASSES = tuple(f"class {number}" for number in range(20))
PARAMS = Path(__file__).parent / "memory.yaml"
_RATE_HZ = 8000
_SAMPLES, _WAV_HEAD = 2000, 44
_SHARD_CLIPS = 64
_FRAMES, _SIZE = 2, 16
_SHUFFLE_BYTES = 1 << 20


class Requests(Computed[Request]):
    """A list that exists only as far as it is looked at, as those of large sources."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def item(self, place: int) -> Request:
        """Eight in ten for training, each class in each split."""
        split = SPLITS[max(0, place % 10 - 7)]
        labels = (CLASSES[place // 10 % len(CLASSES)],)
        clip_id = f"clip {place:011d}"
        return Request(clip_id, clip_id, split, labels, locator={"number": place})


def fetch(request: Request) -> Fetched:
    """A clip of noise, another one for each number."""
    rng = np.random.default_rng(int(str(request.locator["number"])))
    noise = (8000 * rng.standard_normal(_SAMPLES)).clip(-32768, 32767).astype("<i2")
    return Fetched(media=_wav(noise.tobytes()))


def _wav(samples: bytes) -> bytes:
    size, rate = len(samples), _RATE_HZ
    numbers = (16, 1 | 1 << 16, rate, 2 * rate, 2 | 16 << 16)
    head = b"".join(number.to_bytes(4, "little") for number in numbers)
    total = (_WAV_HEAD - 8 + size).to_bytes(4, "little")
    return b"RIFF" + total + b"WAVEfmt " + head + b"data" + size.to_bytes(4, "little") + samples


def run_stage(stage: str, row: list[str], clips: int) -> None:
    """One stage in the project of the working directory, after those before it."""
    if stage == "download":
        # Here, since most stages do without it.
        from mmlib.sources.download import download

        listed = ClipList("noise", CLASSES, "multi_label", Requests(clips), fetch)
        download(listed, Path("data/clips"), shard_clips=_SHARD_CLIPS, max_failed_share=0.0)
    else:
        importlib.import_module(f"stages.{stage}").main(row)


def write_decoded(clips: int, out: Path) -> None:
    """Rows as stage decode would leave them, with pictures."""
    requests = Requests(clips)
    by_split: dict[str, list[int]] = {split: [] for split in SPLITS}
    for index in range(clips):
        by_split[requests[index].split].append(index)
    out.mkdir(parents=True)
    write_vocabulary(out / VOCABULARY_NAME, Vocabulary(CLASSES, "multi_label"))
    for split, places in by_split.items():
        for number, begin in enumerate(range(0, len(places), _SHARD_CLIPS)):
            rows = (_decoded(requests[place]) for place in places[begin : begin + _SHARD_CLIPS])
            write_rows(out / shard_name(split, number), DECODED_SCHEMA, rows, {})


def _decoded(request: Request) -> DecodedClip:
    media = fetch(request).media
    assert media is not None
    shape = (_FRAMES, _SIZE, _SIZE, 3)
    rng = np.random.default_rng(int(str(request.locator["number"])))
    frames = rng.integers(256, size=shape, dtype=np.uint8).tobytes()
    length = _SAMPLES / _RATE_HZ
    return DecodedClip(
        request.clip_id, request.source_id, request.split, request.labels, media[_WAV_HEAD:],
        frames, _FRAMES, (0.0, 0.125), _SIZE, _SIZE, 8.0, _RATE_HZ, length, length, 0.0, True, True,
        hashlib.sha256(media).hexdigest(), "noise", OK, None, None, 1,
    )  # fmt: skip


def begin(folder: Path) -> None:
    """A project with the params of this measurement, laid over those of the root."""
    laid = folder / "profiles"
    laid.mkdir(parents=True, exist_ok=True)
    for source in (ROOT / "profiles/tiny.yaml", PARAMS):
        shutil.copy(source, laid)
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copytree(ROOT / "data/none", folder / "data/none", dirs_exist_ok=True)
    (folder / "data/guides").mkdir(exist_ok=True)
    shutil.copy(ROOT / "data/guides/none.json", folder / "data/guides")
    profiles.apply("tiny memory", laid, folder / "params.yaml")


def measure(clips: int, folder: Path, stages: list[str]) -> dict[str, Any]:
    """Peaks of each stage in KiB, (driver, largest worker); kept in the folder as they come."""
    kept = folder / "peaks.json"
    if not kept.exists():
        begin(folder)
        kept.write_text("{}", encoding="utf-8")
    if "decode" not in stages and not (folder / "data/decoded").exists():
        write_decoded(clips, folder / "data/decoded")
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {"MMLIB_WORKERS": "2", "MMLIB_CACHE_GB": "0", **os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-m", "bench.memory", "--within", str(clips), *stages]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def within(clips: int, stages: list[str]) -> None:
    """Run the stages in the project of the working directory, each in a fork of its own.

    What they all import is imported once, before: torch alone takes seconds.
    """
    kept = Path("peaks.json")
    # What the loader shuffles at once, and no more than a limit, is no growth.
    loader._SHUFFLE_BYTES = _SHUFFLE_BYTES
    for name in {stage.split()[0] for stage in STAGES}:
        importlib.import_module(f"stages.{name}")
    for stage in stages:
        peaks = json.loads(kept.read_text(encoding="utf-8"))
        if stage in peaks:
            continue
        if (child := os.fork()) == 0:
            name, *row = stage.split()
            _, driver, worker = measured(partial(run_stage, name, row, clips))
            kept.write_text(json.dumps({**peaks, stage: (driver, worker)}), encoding="utf-8")
            sys.stdout.flush()
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            raise SystemExit(f"stage {stage} failed")


def rows_of(clips: int, peaks: dict[str, Any], before: tuple[int, dict[str, Any]] | None) -> Any:
    """A row a stage: the largest of its runs."""
    for stage in dict.fromkeys(name.split()[0] for name in peaks):
        found = [pair for name, pair in peaks.items() if name.split()[0] == stage]
        driver, worker = (max(pair[place] for pair in found) for place in (0, 1))
        slope = ""
        if before:
            grown = max(
                sum(pair) - sum(before[1][name])
                for name, pair in peaks.items()
                if name.split()[0] == stage and name in before[1]
            )
            slope = f"{1024 * grown / (clips - before[0]):.0f}"
        yield stage, str(clips), f"{driver / 1024:.0f}", f"{worker / 1024:.0f}", slope


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--folder", type=Path, help="keep the projects here")
    parser.add_argument("--ffmpeg", action="store_true")
    parser.add_argument("--stages", nargs="+", metavar="STAGE", help='these alone, as "train mid"')
    parser.add_argument("--within", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.within:
        within(int(arguments.within[0]), arguments.within[1:])
        return
    wanted = arguments.stages or STAGES
    chosen = [s for s in STAGES if s in wanted and (arguments.ffmpeg or s != "decode")]
    rows: list[Any] = []
    before: tuple[int, dict[str, Any]] | None = None
    with tempfile.TemporaryDirectory() as temporary:
        for clips in arguments.clips:
            folder = (arguments.folder or Path(temporary)) / str(clips)
            peaks = measure(clips, folder.resolve(), chosen)
            rows += rows_of(clips, peaks, before)
            before = clips, peaks
    head = ("stage", "clips", "driver, MiB", "worker, MiB", "bytes a clip")
    print(table(head, rows))


if __name__ == "__main__":
    main()
