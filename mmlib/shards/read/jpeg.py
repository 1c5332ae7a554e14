"""Frames as JPEG pictures, and back: what shard.video.jpeg_quality stores in the place of pixels.

Pillow encodes. simplejpeg decodes, in a third (32 pixels) to three quarters (112) of Pillow's
time; where it is not installed, Pillow does. Both are libjpeg-turbo and give the same pixels;
torchvision's decoder, slower, is on its way out. Colour keeps its full resolution (4:4:4): on
frames of 112 pixels that is worth 5 dB for a third more bytes, more than a higher quality buys.
"""

import io
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from mmlib.runtime.arrays import Bytes

try:
    from simplejpeg import decode_jpeg
except ImportError:  # no wheel for this machine, or one with torch's packages alone
    decode_jpeg = None

_FULL_COLOUR = 0
# Of the segments of a JPEG file: the one that says what follows is JFIF, tables, comments, and the
# header of a baseline picture, which has its own length, bits a sample, height, width and colours.
_FRAME = 0xC0
_HEADERS = frozenset({0xE0, 0xDB, 0xC4, 0xFE, _FRAME})
_FRAME_HEADER = struct.Struct(">HBHHB")


def encode(frames: Bytes, quality: int) -> list[bytes]:
    """One JPEG for each of the frames (T, H, W, 3) uint8; `quality` is libjpeg's, 1 to 100."""
    return [_encoded(frame, quality) for frame in frames]


def _encoded(frame: Bytes, quality: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "JPEG", quality=quality, subsampling=_FULL_COLOUR)
    return stream.getvalue()


class Pictures(NamedTuple):
    """The frames of one clip as JPEG, None where it has none, and what faults are said by."""

    name: str
    pictures: Sequence[bytes] | None
    reading: Callable[[], AbstractContextManager[None]] = nullcontext


def decode(
    clips: Sequence[Sequence[bytes] | None], names: Sequence[str], shape: tuple[int, ...]
) -> Bytes:
    """The pictures of N clips, (N, T, H, W, 3) uint8, `shape` = (T, H, W, 3), as `decode_into`."""
    decoded = np.empty((len(clips), *shape), np.uint8)
    decode_into(decoded, [Pictures(*one) for one in zip(names, clips, strict=True)])
    return decoded


def decode_into(frames: Bytes, clips: Sequence[Pictures]) -> None:
    """Overwrite `frames` (N, T, H, W, 3) by the pictures of N clips, by zeros where there are none.

    As many threads as torch uses; the pixels depend on none. ValueError, with the clip's name and
    the frame's place, where one is no JPEG of that size, or a clip has more or fewer.
    """

    def fill(place: int) -> None:
        name, pictures, reading = clips[place]
        if pictures is None:
            frames[place] = 0
            return
        with reading():
            _fill(frames[place], pictures, name)

    threads = min(torch.get_num_threads(), len(clips))
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, range(len(clips))))
    else:
        for place in range(len(clips)):
            fill(place)


def _fill(frames: Bytes, pictures: Sequence[bytes], name: str) -> None:
    if len(pictures) != len(frames):
        raise ValueError(f"clip {name}, frames: {len(pictures)} instead of {len(frames)}")
    for number, (frame, picture) in enumerate(zip(frames, pictures, strict=True)):
        try:
            if decode_jpeg is not None and _is_plain(picture, frame):
                decode_jpeg(picture, "RGB", buffer=frame)
            else:
                _decode(frame, picture)
        except Exception as error:  # whatever a decoder may raise on bytes that are no picture
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"clip {name}, frame {number}: no such JPEG: {reason}") from None


def _decode(frame: Bytes, picture: bytes) -> None:
    """Whatever Pillow knows of JPEG, and what is wrong with what is none."""
    height, width = frame.shape[:2]
    with Image.open(io.BytesIO(picture), formats=("JPEG",)) as image:
        # Before its pixels are decoded: a header may promise gigabytes.
        if (image.size, image.mode) != ((width, height), "RGB"):
            found = f"{image.width} x {image.height} {image.mode}"
            raise ValueError(f"{found} instead of {width} x {height} RGB")
        frame[...] = np.asarray(image)


def _is_plain(picture: bytes, frame: Bytes) -> bool:
    """Whether a picture is of the kind that `encode` makes, and of the frame's size.

    simplejpeg would make colours of grey, and of a smaller picture a part of the frame.
    """
    return frame.flags.c_contiguous and _plain_size(picture) == frame.shape[:2]


def _plain_size(picture: bytes) -> tuple[int, int] | None:
    """Height and width of a baseline JFIF picture in three colours; None for any other bytes."""
    if picture[:2] != b"\xff\xd8" or picture[-2:] != b"\xff\xd9":
        return None
    place = 2
    while place + 10 < len(picture):
        mark, kind = picture[place], picture[place + 1]
        if mark != 0xFF or kind not in _HEADERS:
            return None
        if kind == _FRAME:
            _, _, height, width, colours = _FRAME_HEADER.unpack_from(picture, place + 2)
            return (height, width) if colours == 3 else None
        place += 2 + int.from_bytes(picture[place + 2 : place + 4])
    return None
