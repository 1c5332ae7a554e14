"""Decoding speed: ours beside ffmpeg's bare decoding, jpg + wav files, PyAV and torchcodec.

A pool of worker processes, one thread each, takes the same clips from each peer in turn, in random
order in each round; a ratio is taken within a round. All give mono sound at 16 kHz and 112 x 112
frames at 2 a second, but for the floor (`ffmpeg -f null`: every picture and all sound decoded, none
of it looked at, by our binary), and PyAV and torchcodec, which give whole pictures, uncropped.
torchcodec has no FFmpeg of its own: it is lent the libraries of PyAV's wheel.
"""

import argparse
import importlib
import importlib.util
import multiprocessing
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.pool import Pool
from pathlib import Path
from unittest import mock

import numpy as np

from bench.tables import quartiles, table
from mmlib.media.decode import decode
from mmlib.media.ffmpeg import Limits, binary
from mmlib.media.graph import Form

SIZES = {"340x256": "500k", "640x360": "1200k"}
SECONDS = 10
FORM = Form(sample_rate_hz=16000, fps=2.0, size=112)
LENT = "MMLIB_BENCH_LENT"


def ours(path: Path) -> None:
    decode(path, FORM, Limits())


def ours_all_pictures(path: Path) -> None:
    """Without leaving out the pictures that no one looks at."""
    with mock.patch("mmlib.media.reading.find_unseen", return_value=None):
        decode(path, FORM, Limits())


def _ffmpeg(*arguments: str | Path) -> None:
    command = [binary(), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


def null_floor(path: Path) -> None:
    _ffmpeg("-threads", "1", "-i", path, "-f", "null", "-")


def jpg_and_wav(path: Path) -> None:
    """Two passes to files, as much research code does."""
    with tempfile.TemporaryDirectory() as name:
        scale = f"fps={FORM.fps:g},scale={FORM.size}:{FORM.size}"
        _ffmpeg("-threads", "1", "-i", path, "-vf", scale, "-q:v", "2", Path(name) / "%04d.jpg")
        sound = ("-vn", "-ac", "1", "-ar", str(FORM.sample_rate_hz))
        _ffmpeg("-threads", "1", "-i", path, *sound, Path(name) / "sound.wav")


def with_pyav(path: Path) -> None:
    av = importlib.import_module("av")
    due, frames, sound = 0.0, [], []
    with av.open(str(path)) as container:
        for stream in container.streams:
            stream.codec_context.thread_count = 1
        resampler = av.AudioResampler("s16", "mono", FORM.sample_rate_hz)
        for packet in container.demux():
            for frame in packet.decode():
                if isinstance(frame, av.AudioFrame):
                    sound += [part.to_ndarray() for part in resampler.resample(frame)]
                elif frame.time is not None and frame.time >= due:
                    small = frame.reformat(FORM.size, FORM.size, "rgb24")
                    frames.append(small.to_ndarray())
                    due += 1 / FORM.fps
    assert len(frames) == SECONDS * FORM.fps
    assert sound


def with_torchcodec(path: Path) -> None:
    decoders = importlib.import_module("torchcodec.decoders")
    interpolate = importlib.import_module("torch.nn.functional").interpolate
    times = [tick / FORM.fps for tick in range(int(SECONDS * FORM.fps))]
    video = decoders.VideoDecoder(str(path), num_ffmpeg_threads=1)
    frames = video.get_frames_played_at(times).data
    interpolate(frames.float(), (FORM.size, FORM.size), mode="bilinear")
    sound = decoders.AudioDecoder(str(path), sample_rate=FORM.sample_rate_hz, num_channels=1)
    sound.get_all_samples()


PEERS: dict[str, Callable[[Path], None]] = {
    "ours": ours,
    "ours, all pictures": ours_all_pictures,
    "ffmpeg -f null": null_floor,
    "jpg + wav, two passes": jpg_and_wav,
    "PyAV": with_pyav,
    "torchcodec": with_torchcodec,
}


def _one_thread() -> None:
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)


def make_clip(path: Path, size: str, rate: str) -> None:
    """10 s of a zoom with noise, x264 as it comes, and stereo AAC."""
    picture = f"mandelbrot=s={size}:r=25,noise=alls=6:allf=t"
    sound = "sine=f=300:r=44100,aformat=channel_layouts=stereo"
    inputs = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-t", str(SECONDS))
    codecs = ("-c:v", "libx264", "-b:v", rate, "-pix_fmt", "yuv420p", "-c:a", "aac")
    _ffmpeg(*inputs, *codecs, path)


def measure(pool: Pool, path: Path, clips: int, rounds: int) -> list[list[str]]:
    seconds: dict[str, list[float]] = {}
    for name, peer in PEERS.items():
        try:
            pool.map(peer, [path] * clips, chunksize=1)
            seconds[name] = []
        except (ImportError, OSError, RuntimeError) as error:
            print(f"{name} does not run here: {str(error).splitlines()[0]}", file=sys.stderr)
    order = list(seconds)
    for number in range(rounds):
        random.Random(number).shuffle(order)
        for name in order:
            start = time.perf_counter()
            pool.map(PEERS[name], [path] * clips, chunksize=1)
            seconds[name].append((time.perf_counter() - start) / clips)
    mine = np.array(seconds["ours"])
    return [
        [
            name,
            quartiles(1 / np.array(times), "{:.1f}"),
            quartiles(np.array(times) / mine, "{:.2f}"),
        ]
        for name, times in seconds.items()
    ]


def lend_libraries(folder: Path) -> None:
    """Start this program anew with PyAV's FFmpeg on the loader's path, under its usual names."""
    if os.environ.get(LENT) or not all(map(importlib.util.find_spec, ("av", "torchcodec"))):
        return
    av, torch = (
        Path(str(importlib.import_module(name).__file__)).parent for name in ("av", "torch")
    )
    libraries = av.parent / "av.libs"
    for file in libraries.glob("lib*"):
        if match := re.match(r"(lib(?:av|sw)\w+)-[0-9a-f]+\.so\.(\d+)", file.name):
            (folder / f"{match[1]}.so.{match[2]}").symlink_to(file)
    cuda = sorted(path.parent for path in (av.parent / "nvidia").glob("*/lib/libnvrtc.so.*"))
    path = ":".join(map(str, [folder, libraries, torch / "lib", *cuda]))
    environment = {**os.environ, LENT: "1", "LD_LIBRARY_PATH": path}
    done = subprocess.run([sys.executable, "-m", "bench.decode", *sys.argv[1:]], env=environment)
    sys.exit(done.returncode)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lend_libraries(folder)
        context = multiprocessing.get_context("spawn")
        with context.Pool(arguments.workers, initializer=_one_thread) as pool:
            for size, rate in SIZES.items():
                path = folder / f"{size}.mp4"
                make_clip(path, size, rate)
                rows = measure(pool, path, arguments.clips, arguments.rounds)
                print(f"\n{SECONDS} s of {size}, H.264 + AAC, {arguments.workers} workers")
                print(table(["decode", "clips/s", "time / ours"], rows))


if __name__ == "__main__":
    main()
