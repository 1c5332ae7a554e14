"""Small media whose right decoding is known in closed form."""

from pathlib import Path

import numpy as np

from mmlib.media.encode import encode
from mmlib.media.ffmpeg import Limits
from mmlib.media.graph import Form
from mmlib.runtime.arrays import Bytes, Ints, Ints16

RATE_HZ = 16000
FORM = Form(sample_rate_hz=RATE_HZ, fps=4.0, size=16)
LIMITS = Limits()


def numbered(count: int, side: int = 32) -> Bytes:
    """Frames (count, side, side, 3) that show their number: 4 x 2 fields, white for a 1 bit."""
    bits = (np.arange(count)[:, None] >> np.arange(8)) & 1
    fields = np.where(bits, 235, 16).astype(np.uint8).reshape(count, 4, 2)
    picture = fields.repeat(side // 4, 1).repeat(side // 2, 2)
    return np.repeat(picture[..., None], 3, -1)


def numbers(frames: Bytes) -> Ints:
    """Which frame of `numbered` each decoded frame (T, S, S, 3) shows."""
    count, side = frames.shape[:2]
    fields = frames.reshape(count, 4, side // 4, 2, side // 2, 3).mean((2, 4, 5)).reshape(count, 8)
    result: Ints = (fields > 128) @ (1 << np.arange(8))
    return result


def tone(seconds: float, hz: float = 440.0, rate_hz: int = RATE_HZ) -> Ints16:
    """A sine at half of full scale, (N,) int16."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    return (16384 * np.sin(2 * np.pi * hz * times)).astype(np.int16)


def media(seconds: float = 0.5, hz: float = 440.0) -> bytes:
    """A small mp4 with both tracks."""
    return encode(numbered(round(seconds * 8)), tone(seconds, hz), fps=8.0)


def write_folder(
    folder: Path, rows: list[tuple[str, str, str, str]], header: str = "clip_id,path,labels,split"
) -> Path:
    """A folder with the listed files (each clip's sound differs) and its labels.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(sorted({row[1] for row in rows})):
        (folder / path).write_bytes(media(hz=200.0 + 10 * number))
    lines = [header, *(",".join(row) for row in rows)]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def small_rows(
    train: int = 5, val: int = 2, evaluation: int = 2
) -> list[tuple[str, str, str, str]]:
    """Rows for `write_folder`: classes a and b by turns, one file a clip."""
    return [
        (f"{split}{number}", f"{split}{number}.mp4", "ab"[number % 2], split)
        for split, count in (("train", train), ("val", val), ("eval", evaluation))
        for number in range(count)
    ]
