"""Decoding frames that are stored as JPEG: ours beside torchvision's decoder, and whole batches.

Every row decodes all frames of the same clips, smooth pictures under a little noise of quality 95,
on one thread, in CPU time; a ratio is taken within a round. Torchvision's is what `decode_jpeg`
takes alone, its result left where it is: ours puts it in its place in the batch. Then shuffled
batches of 32 as training reads them, streamed, pictures as pixels, in seconds that pass and in CPU
seconds of all threads.
"""

import argparse
import os
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch

from bench.shard_read import GROUP, JPEG_QUALITY, LAYOUT, smooth, write_ours
from bench.tables import quartiles, table
from mmlib.runtime.arrays import Floats
from mmlib.shards.read import jpeg
from mmlib.shards.read.format import Layout, Payload
from mmlib.shards.read.loader import ShardSet

OURS, THEIRS, ROUNDS = "ours", "torchvision's decode_jpeg alone", 11
# The demo's pictures and log-mel, and the paper's.
SIZES = {
    "4 x 32 x 32": LAYOUT.model_copy(
        update={
            "frames": Payload(shape=(4, 32, 32, 3), dtype="uint8"),
            "log_mel": Payload(shape=(50, 64), dtype="float16"),
        }
    ),
    "16 x 112 x 112": LAYOUT,
}


def decoders(clips: int, layout: Layout) -> dict[str, Floats]:
    """Seconds of CPU time of each decoder, a round."""
    from torchvision.io import decode_jpeg

    frames = smooth(clips, layout)
    encoded = [jpeg.encode(one, JPEG_QUALITY) for one in frames]
    named = [jpeg.Pictures("", pictures) for pictures in encoded]
    raw = [torch.frombuffer(bytearray(one), dtype=torch.uint8) for clip in encoded for one in clip]
    out = np.empty_like(frames)

    def ours() -> None:
        jpeg.decode_into(out, named)

    def theirs() -> None:
        for one in raw:
            decode_jpeg(one)

    seconds: dict[str, list[float]] = {OURS: [], THEIRS: []}
    for _ in range(ROUNDS + 1):
        for name, decode in ((OURS, ours), (THEIRS, theirs)):
            begin = time.process_time()
            decode()
            seconds[name].append(time.process_time() - begin)
    return {name: np.array(values[1:]) for name, values in seconds.items()}


def epochs(folder: Path, clips: int, threads: int) -> tuple[Floats, Floats]:
    """Clips in a second and in a CPU second, in shuffled batches of 32."""
    torch.set_num_threads(threads)
    split = ShardSet(folder, "train", pixels=True)
    passed, computed = [], []
    for epoch in range(6):
        begin = time.perf_counter(), time.process_time()
        for _ in split.batches(32, seed=0, epoch=epoch):
            pass
        passed.append(clips / (time.perf_counter() - begin[0]))
        computed.append(clips / (time.process_time() - begin[1]))
    return np.array(passed[1:]), np.array(computed[1:])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=256)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)
    os.environ["MMLIB_CACHE_GB"] = "0"
    clips = arguments.clips // GROUP * GROUP
    decoded, batches = [], []
    for name, layout in SIZES.items():
        torch.set_num_threads(1)
        seconds = decoders(clips, layout)
        for who, times in seconds.items():
            ratio = seconds[THEIRS] / times
            rates = quartiles(clips / times, "{:.0f}")
            decoded.append([name, who, rates, quartiles(ratio, "{:.2f}")])
        with tempfile.TemporaryDirectory() as folder:
            for kind, quality in (("JPEG", JPEG_QUALITY), ("raw", None)):
                write_ours(Path(folder) / kind, smooth(clips, layout), quality, layout)
                for threads in (1, 2):
                    rates = epochs(Path(folder) / kind, clips, threads)
                    told = [quartiles(one, "{:.0f}") for one in rates]
                    batches.append([name, kind, str(threads), *told])
    print(table(["clips of", "decoder", "clips a CPU second", "of torchvision's"], decoded))
    print()
    head = ["shuffled batches of", "stored as", "threads", "clips/s", "clips a CPU second"]
    print(table(head, batches))


if __name__ == "__main__":
    main()
