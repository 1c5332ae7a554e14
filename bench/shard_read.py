"""Reading speed of training shards beside other layouts of the same bytes.

Every row copies all clips of a warm file into one array, on one thread, row group by row group
where there are any; "ours" is what `ShardReader` does. A ratio is taken within a round. Pixels are
noise, which nothing makes smaller; those stored as JPEG are smooth, as pictures are, and their GB
are those of the pixels. Below: one clip at random, and shuffled epochs of batches from `ShardSet`,
pictures as pixels.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from bench.tables import quartiles, table
from mmlib.runtime.arrays import Bytes, Floats
from mmlib.runtime.scratch import publish_json
from mmlib.shards.read.format import (
    Layout,
    Payload,
    ShardReader,
    ShardRow,
    write_shard,
)
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import (
    MANIFEST_NAME,
    ids_hash,
)

# The paper's signals: log-mel 400 x 64, 16 frames of 112 x 112.
LAYOUT = Layout(
    split="train",
    classes=tuple(f"class {number}" for number in range(527)),
    task="multi_label",
    log_mel=Payload(shape=(400, 64), dtype="float16"),
    frames=Payload(shape=(16, 112, 112, 3), dtype="uint8"),
    sample_rate_hz=16000,
    clip_samples=160000,
)
GROUP = 16
JPEG_QUALITY = 95
Copy = Callable[[], None]


def noise(clips: int) -> Bytes:
    """Frames without any structure, (N, T, H, W, 3)."""
    shape = (clips, *LAYOUT.frames.shape)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def smooth(clips: int, layout: Layout = LAYOUT) -> Bytes:
    """Frames of slow gradients under a little noise, (N, T, H, W, 3)."""
    rng = np.random.default_rng(1)
    coarse = torch.from_numpy(rng.random((clips * layout.frames.shape[0], 3, 7, 7)))
    size = layout.frames.shape[1:3]
    fine = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic", align_corners=True)
    pixels = 255 * np.ascontiguousarray(fine.permute(0, 2, 3, 1))
    pixels += rng.normal(0, 4, pixels.shape)
    return pixels.clip(0, 255).astype(np.uint8).reshape(clips, *layout.frames.shape)


def write_ours(folder: Path, frames: Bytes, quality: int | None, layout: Layout = LAYOUT) -> Bytes:
    """Write a shard of the frames and its manifest; return them, (N, bytes a clip)."""
    clips, rng = len(frames), np.random.default_rng(0)
    log_mel = rng.random((clips, *layout.log_mel.shape)).astype(np.float16)
    labels = np.zeros((clips, len(layout.classes)), np.uint8)
    ids = [f"clip {number}" for number in range(clips)]
    rows = [ShardRow(ids[n], ids[n], labels[n], log_mel[n], frames[n], None) for n in range(clips)]
    folder.mkdir(exist_ok=True)
    stored = layout.model_copy(update={"jpeg_quality": quality})
    write_shard(folder / "ours.parquet", stored, rows)
    files = {"count": clips, "sha256": ids_hash(ids), "files": {"ours.parquet": clips}}
    manifest = {
        "classes": layout.classes,
        "task": layout.task,
        "mel": {},
        "audio": dict(zip(("frames", "bands"), layout.log_mel.shape, strict=True)),
        "video": dict(zip(("frames", "height", "width"), layout.frames.shape, strict=False))
        | ({} if quality is None else {"jpeg_quality": quality}),
        "clips": {"train": files},
        "failed": {},
    }
    publish_json(manifest, folder / MANIFEST_NAME)
    return frames.reshape(clips, -1)


def peers(folder: Path, frames: Bytes) -> dict[str, Copy]:
    """Name -> a function that copies all frames into one array."""
    out = np.empty_like(frames)
    clips, width = frames.shape
    reader = ShardReader(folder / "ours.parquet")
    pictures = ShardReader(folder / "jpeg/ours.parquet")

    def read(source: ShardReader) -> None:
        for group in range(clips // GROUP):
            found = source.read(group, "frames").reshape(-1, width)
            out[group * GROUP : (group + 1) * GROUP] = found

    def ours() -> None:
        read(reader)

    def jpeg() -> None:
        read(pictures)

    def first() -> None:
        nonlocal reader
        reader = ShardReader(folder / "ours.parquet")
        ours()

    def fixed(name: str, **options: Any) -> Copy:
        def copy() -> None:
            file = pq.ParquetFile(folder / name, **options)
            for group in range(file.num_row_groups):
                column = file.read_row_group(group, use_threads=False)["frames"].chunk(0)
                found = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, width)
                out[group * GROUP : (group + 1) * GROUP] = found

        return copy

    def lists() -> None:
        file = pq.ParquetFile(folder / "list.parquet")
        for group in range(file.num_row_groups):
            column = file.read_row_group(group, use_threads=False)["frames"].combine_chunks()
            found = column.flatten().to_numpy().reshape(-1, width)
            out[group * GROUP : (group + 1) * GROUP] = found

    def archive() -> None:
        for number, path in enumerate(sorted((folder / "npy").iterdir())):
            out[number] = np.load(path)

    def mapped() -> None:
        out[:] = np.load(folder / "frames.npy", mmap_mode="r")

    def memory() -> None:
        out[:] = frames

    column = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), clips, [None, pa.py_buffer(frames)]
    )
    field = pa.schema([pa.field("frames", pa.binary(width), nullable=False)])
    plain = pa.table([column], schema=field)
    options = {"row_group_size": GROUP, "use_dictionary": False, "write_statistics": False}
    pq.write_table(plain, folder / "plain.parquet", compression="none", **options)
    pq.write_table(plain, folder / "zstd.parquet", compression="zstd", **options)
    few = pa.table({"frames": list(frames)})
    pq.write_table(few, folder / "list.parquet", compression="none", row_group_size=GROUP)
    np.save(folder / "frames.npy", frames)
    (folder / "npy").mkdir()
    for number, clip in enumerate(frames):
        np.save(folder / "npy" / f"{number:06d}.npy", clip)
    return {
        "ours": ours,
        "ours, first reading: checksums verified": first,
        f"ours, frames as JPEG of quality {JPEG_QUALITY}, decoded": jpeg,
        "same, no checksums, mapped": fixed("plain.parquet", memory_map=True, pre_buffer=False),
        "same, no checksums, pyarrow's defaults": fixed("plain.parquet"),
        "same with zstd": fixed("zstd.parquet"),
        "list<uint8>": lists,
        "one .npy a clip": archive,
        "one .npy, memory-mapped": mapped,
        "memory to memory": memory,
    }


def measure(copies: dict[str, Copy], rounds: int) -> dict[str, Floats]:
    """Seconds of each, a round."""
    seconds: dict[str, list[float]] = {name: [] for name in copies}
    for copy in copies.values():
        copy()
    for number in range(rounds):
        names = np.random.default_rng(number).permutation(list(copies)).tolist()
        for name in names:
            start = time.perf_counter()
            copies[name]()
            seconds[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def epochs(folder: Path, rounds: int) -> list[list[str]]:
    """Clips a second in shuffled batches of 32, streamed and from memory."""
    rows = []
    for name, place, gigabytes in (
        ("streamed", folder, "0"),
        ("in memory", folder, "100"),
        ("streamed, JPEG", folder / "jpeg", "0"),
    ):
        os.environ["MMLIB_CACHE_GB"] = gigabytes
        clips = ShardSet(place, "train", pixels=True)
        rates = []
        for epoch in range(rounds + 1):
            start = time.perf_counter()
            count = sum(len(batch.clip_ids) for batch in clips.batches(32, seed=0, epoch=epoch))
            rates.append(count / (time.perf_counter() - start))
        rows.append([name, quartiles(np.array(rates[1:]), "{:.0f}")])
    return rows


def random_clip(folder: Path, rounds: int) -> Floats:
    """Milliseconds to fetch the frames of one clip at random."""
    reader = ShardReader(folder / "ours.parquet")
    milliseconds = []
    for group in np.random.default_rng(0).integers(0, len(reader.sizes), 20 * rounds):
        start = time.perf_counter()
        reader.read(int(group), "frames")[GROUP // 2].copy()
        milliseconds.append(1e3 * (time.perf_counter() - start))
    return np.array(milliseconds)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    pa.set_cpu_count(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = arguments.clips // GROUP * GROUP
        frames = write_ours(folder, noise(clips), None)
        write_ours(folder / "jpeg", smooth(clips), JPEG_QUALITY)
        sizes = [(folder / name).stat().st_size for name in ("ours.parquet", "jpeg/ours.parquet")]
        seconds = measure(peers(folder, frames), arguments.rounds)
        ours = seconds["ours"]
        rows = [
            [
                name,
                quartiles(frames.nbytes / 1e9 / times, "{:.2f}"),
                quartiles(times / ours, "{:.2f}"),
            ]
            for name, times in seconds.items()
        ]
        print(f"{len(frames)} clips of 16 x 112 x 112 x 3, {arguments.rounds} rounds, 1 thread")
        print(table(["scan and copy", "GB/s", "time / ours"], rows))
        print(f"a shard with JPEG has {sizes[1] / sizes[0]:.2f} of the bytes")
        print(f"\none clip at random: {quartiles(random_clip(folder, 10), '{:.1f}')} ms\n")
        print(table(["shuffled batches, log-mel and frames", "clips/s"], epochs(folder, 5)))


if __name__ == "__main__":
    main()
