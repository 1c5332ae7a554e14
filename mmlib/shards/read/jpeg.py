"""Frames as JPEG pictures, and back: what shard.video.jpeg_quality stores in the place of pixels.

Pillow's, since torchvision's own decoder is on its way out; both are libjpeg-turbo and give the
same pixels. Colour keeps its full resolution (4:4:4): on frames of 112 pixels that is worth 5 dB
for a third more bytes, more than a higher quality buys.
"""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image

from mmlib.runtime.arrays import Bytes

_FULL_COLOUR = 0


def encode(frames: Bytes, quality: int) -> list[bytes]:
    """One JPEG for each of the frames (T, H, W, 3) uint8; `quality` is libjpeg's, 1 to 100."""
    return [_encoded(frame, quality) for frame in frames]


def _encoded(frame: Bytes, quality: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "JPEG", quality=quality, subsampling=_FULL_COLOUR)
    return stream.getvalue()


def decode(
    clips: Sequence[Sequence[bytes] | None], names: Sequence[str], shape: tuple[int, ...]
) -> Bytes:
    """The pictures of N clips as (N, T, H, W, 3) uint8, `shape` = (T, H, W, 3); zeros for None.

    As many threads as torch uses; the pixels depend on none. ValueError, with the clip's name and
    the frame's place, where one is no JPEG of that size, or a clip has more or fewer.
    """
    decoded = np.zeros((len(clips), *shape), np.uint8)
    places = [place for place, pictures in enumerate(clips) if pictures is not None]

    def fill(place: int) -> None:
        _fill(decoded[place], clips[place] or (), names[place])

    threads = min(torch.get_num_threads(), len(places))
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, places))
    else:
        for place in places:
            fill(place)
    return decoded


def _fill(frames: Bytes, pictures: Sequence[bytes], name: str) -> None:
    if len(pictures) != len(frames):
        raise ValueError(f"clip {name}, frames: {len(pictures)} instead of {len(frames)}")
    height, width = frames.shape[1:3]
    for number, (frame, picture) in enumerate(zip(frames, pictures, strict=True)):
        try:
            with Image.open(io.BytesIO(picture), formats=("JPEG",)) as image:
                # Before its pixels are decoded: a header may promise gigabytes.
                if (image.size, image.mode) != ((width, height), "RGB"):
                    found = f"{image.width} x {image.height} {image.mode}"
                    raise ValueError(f"{found} instead of {width} x {height} RGB")
                frame[...] = np.asarray(image)
        except Exception as error:  # whatever a decoder may raise on bytes that are no picture
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"clip {name}, frame {number}: no such JPEG: {reason}") from None
