"""The same file gives the same bytes in every run, whatever its fault, beside a busy machine."""

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mmlib.media.decode import decode
from mmlib.media.ffmpeg import MediaError
from tests.media.damaging import damaged, whole
from tests.media.making import PICTURES, SOUND, join, make, wav
from tests.samples import FORM, LIMITS, tone

_RUNS = 3
_BUSY = "while True: pass"


@pytest.fixture(scope="module")
def busy() -> Iterator[None]:
    """A process that takes what time it gets."""
    with subprocess.Popen([sys.executable, "-c", _BUSY]) as load:
        yield
        load.kill()


def nine_channels(folder: Path) -> Path:
    """A layout that no rule mixes down, beside pictures."""
    sound = np.zeros((32000, 9), np.int16)
    sound[:, 0] = tone(2.0)
    source = wav(folder / "source.wav", sound)
    return make(folder / "a.mov", PICTURES, "-i", source, "-map 0 -map 1 -c:v mjpeg -c:a copy")


def changing(folder: Path) -> Path:
    """Pictures and sound that change their form midway."""
    forms = (("64x48", 48000), ("96x64", 32000))
    parts = [
        make(
            folder / f"{rate}.ts", f"-f lavfi -i testsrc=s={size}:r=10:d=1 -f lavfi -i sine=d=1",
            f"-c:v mpeg2video -r 25 -c:a mp2 -ar {rate}",
        )
        for size, rate in forms
    ]  # fmt: skip
    return join(folder / "a.ts", parts)


def noise(folder: Path) -> Path:
    """Packets of noise where sound should be."""
    clean = make(folder / "clean.mkv", PICTURES, SOUND, "-c:v mjpeg -c:a ac3")
    return make(folder / "a.mkv", "-i", clean, "-c copy -bsf:a noise=amount=1")


def cut(folder: Path) -> Path:
    """A file that lacks its end."""
    data = whole("mkv")
    (folder / "a.mkv").write_bytes(data[: len(data) * 2 // 3])
    return folder / "a.mkv"


def overwritten(folder: Path) -> Path:
    """A file with holes of noise."""
    (folder / "a.mp4").write_bytes(damaged("mp4", "overwrite", 5))
    return folder / "a.mp4"


def fingerprint(file: Path, start_s: float | None) -> str:
    """What is decoded, or why nothing is."""
    try:
        decoded = decode(file, FORM, LIMITS, start_s=start_s)
    except MediaError as error:
        return str(error)
    parts = [decoded.frames, decoded.pcm]
    data = b"".join(b"none" if part is None else part.tobytes() for part in parts)
    told = (decoded.video_s, decoded.audio_s, decoded.offset_s, decoded.damage)
    return f"{hashlib.sha256(data).hexdigest()} {told} {decoded.damage_kinds}"


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(
    ("fault", "start_s"),
    [
        (nine_channels, None),
        (changing, None),
        (changing, 0.6),
        (noise, None),
        (cut, None),
        (overwritten, None),
    ],
)
def test_every_run_gives_the_same(
    tmp_path: Path, fault: Callable[[Path], Path], start_s: float | None
) -> None:
    file = fault(tmp_path)
    assert len({fingerprint(file, start_s) for _ in range(_RUNS)}) == 1
