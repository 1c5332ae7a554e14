"""Small media of any kind, made by ffmpeg on the fly."""

import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mmlib.media.ffmpeg import binary

PICTURES = "-f lavfi -i testsrc=s=64x48:r=10:d=2"
SOUND = "-f lavfi -i sine=f=440:d=2"


def make(out: Path, *arguments: str | Path) -> Path:
    """Let ffmpeg write `out`; a string is split at its blanks, a path is one argument."""
    words: list[str | Path] = []
    for argument in arguments:
        words += [argument] if isinstance(argument, Path) else argument.split()
    command = [binary(), "-y", "-nostdin", "-v", "error", *words, out]
    subprocess.run(command, check=True)
    return out


def join(out: Path, parts: Iterable[Path]) -> Path:
    """Write parts one after the other, with time stamps that go on."""
    listing = out.with_suffix(".txt")
    listing.write_text("".join(f"file '{part}'\n" for part in parts), encoding="utf-8")
    return make(out, "-f concat -safe 0 -i", listing, "-c copy")


def wav(out: Path, samples: np.ndarray, rate_hz: int = 16000) -> Path:
    """Write samples (N,) or (N, C) as they are, int16 or floats; its channels have no place."""
    samples = samples.reshape(len(samples), -1)
    channels, width = samples.shape[1], samples.dtype.itemsize
    kind = 1 if samples.dtype.kind == "i" else 3
    form = struct.pack("<HHIIHH", 0xFFFE, channels, rate_hz, rate_hz * channels * width,
                       channels * width, 8 * width)  # fmt: skip
    form += struct.pack("<HHIH", 22, 8 * width, 0, kind) + bytes.fromhex(
        "000000001000800000aa00389b71"
    )
    data = samples.tobytes()
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", len(data)) + data
    out.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return out
