"""Peak memory of download, decode and shard against the number of clips: it should stay flat.

Clips are a quarter of a second of noise each, made on the fly. Every stage runs in a process of its
own with two workers; "driver" is that process, "worker" the largest of its workers and decoders.
Bytes a clip are the slope between two rows: what the driver keeps of each clip. `--no-ffmpeg` makes
the decoded rows up, which is faster: then stage decode is left out.
"""

import argparse
import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np

from bench.tables import table
from mmlib.media.ffmpeg import Limits
from mmlib.media.graph import Form
from mmlib.params.whole import file as whole
from mmlib.shards.decode import decode_clips
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
from mmlib.sources.download import download
from mmlib.sources.lazy import Computed

STAGES = ("download", "decode", "shard")
CLASSES = tuple(f"class {number}" for number in range(20))
_RATE_HZ = 8000
_SAMPLES = 2000
_WAV_HEAD = 44
_SHARD_CLIPS = 64


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


def run_stage(stage: str, clips: int, root: Path) -> None:
    """One stage in the folder, after those before it."""
    scratch = root / "scratch"
    if stage == "download":
        listed = ClipList("noise", CLASSES, "single_label", Requests(clips), fetch)
        download(
            listed,
            root / "clips",
            shard_clips=_SHARD_CLIPS,
            max_failed_share=0.0,
            scratch_root=scratch,
        )
    elif stage == "decode":
        form = Form(_RATE_HZ, fps=2.0, size=32)
        decode_clips(
            root / "clips", root / "decoded", form, Limits(),
            max_failed_share=0.0, scratch_root=scratch,
        )  # fmt: skip
    else:
        # Here, since torch, which it brings, is no part of the other stages.
        from mmlib.shards.make.shard import make_shards

        shard = whole.load().shard
        mel = shard.mel.model_copy(update={"sample_rate_hz": _RATE_HZ, "max_hz": _RATE_HZ / 2})
        mel = mel.model_copy(update={"window": 512, "n_fft": 512, "hop": 400, "frames": 20})
        settings = shard.model_copy(update={"mel": mel, "seconds": 1.0})
        make_shards(root / "decoded", root / "shards", settings, scratch_root=scratch)


def measured(stage: str, clips: int, root: Path) -> tuple[int, int]:
    """Run a stage and return the peaks of resident memory in KiB: driver, largest worker."""
    largest = 0
    over = threading.Event()

    def watch() -> None:
        nonlocal largest
        # Not the rusage of children: it counts the driver's own pages, which a fork shares.
        while not over.wait(0.2):
            largest = max([largest, *map(_peak, _below(os.getpid()))])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run_stage(stage, clips, root)
    finally:
        over.set()
        watcher.join()
    return _peak(os.getpid()), largest


def _below(pid: int) -> list[int]:
    """All processes that the process started, and those that they did."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text(encoding="utf-8").split()):
                found += [child, *_below(child)]
    return found


def _peak(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    lines = [line.split() for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0][1]) if lines else 0


def write_decoded(clips: int, out: Path) -> None:
    """Rows as stage decode would leave them."""
    requests = Requests(clips)
    by_split: dict[str, list[int]] = {split: [] for split in SPLITS}
    for index in range(clips):
        by_split[requests[index].split].append(index)
    out.mkdir()
    write_vocabulary(out / VOCABULARY_NAME, Vocabulary(CLASSES, "single_label"))
    for split, places in by_split.items():
        for number, begin in enumerate(range(0, len(places), _SHARD_CLIPS)):
            rows = (_decoded(requests[place]) for place in places[begin : begin + _SHARD_CLIPS])
            write_rows(out / shard_name(split, number), DECODED_SCHEMA, rows, {})


def _decoded(request: Request) -> DecodedClip:
    media = fetch(request).media
    assert media is not None
    length = _SAMPLES / _RATE_HZ
    return DecodedClip(
        request.clip_id, request.source_id, request.split, request.labels, media[_WAV_HEAD:],
        None, 0, (), 32, 32, 2.0, _RATE_HZ, length, None, None, True, False,
        hashlib.sha256(media).hexdigest(), "noise", OK, None, None, 1,
    )  # fmt: skip


def measure(clips: int, ffmpeg: bool) -> dict[str, tuple[int, int]]:
    """Peaks of each stage in KiB: driver, largest worker."""
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for stage in STAGES:
            if stage == "decode" and not ffmpeg:
                write_decoded(clips, Path(folder) / "decoded")
                continue
            command = [sys.executable, "-m", "bench.memory", "--stage", stage, folder, str(clips)]
            environment = os.environ | {"MMLIB_WORKERS": "2"}
            done = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, text=True, check=True
            )
            driver, worker = map(int, done.stdout.split()[-2:])
            peaks[stage] = (driver, worker)
    return peaks


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--no-ffmpeg", action="store_true")
    parser.add_argument("--stage", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        stage, folder, clips = arguments.stage
        print(*measured(stage, int(clips), Path(folder)))
        return
    rows = []
    before: tuple[int, dict[str, tuple[int, int]]] | None = None
    for clips in arguments.clips:
        peaks = measure(clips, not arguments.no_ffmpeg)
        for stage, (driver, worker) in peaks.items():
            slope = ""
            if before:
                grown = driver - before[1][stage][0]
                slope = f"{1024 * grown / (clips - before[0]):.0f}"
            cells = (f"{driver / 1024:.0f}", f"{worker / 1024:.0f}", slope)
            rows.append((stage, str(clips), *cells))
        before = clips, peaks
    head = ("stage", "clips", "driver, MiB", "worker, MiB", "driver, bytes a clip")
    print(table(head, rows))


if __name__ == "__main__":
    main()
