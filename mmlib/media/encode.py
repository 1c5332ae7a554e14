"""Frames and sound -> the bytes of an mp4 or webm file."""

import ffmpeg
import numpy as np

from mmlib.media.ffmpeg import GLOBAL_ARGUMENTS, Limits, MediaError, binary, run
from mmlib.media.files import inherited, unnamed_file, url
from mmlib.media.log import Log
from mmlib.runtime.arrays import Bytes, Ints16

LIMITS = Limits(timeout_s=300.0, memory_mb=4000)
Options = dict[str, str | int]
LOSSLESS = "mkv"
"""The container in which every bit of pictures and sound is kept."""
VIDEO: dict[str, Options] = {
    "mp4": {"vcodec": "libx264", "preset": "veryfast", "crf": 23, "x264-params": "threads=1"},
    "webm": {"vcodec": "libvpx-vp9", "crf": 33, "b:v": 0, "deadline": "good", "cpu-used": 5},
    LOSSLESS: {"vcodec": "ffv1"},
}
AUDIO: dict[str, Options] = {
    "mp4": {"acodec": "aac"},
    "webm": {"acodec": "libopus"},
    LOSSLESS: {"acodec": "pcm_s16le"},
}
REPEATABLE: Options = {"map_metadata": -1, "fflags": "+bitexact", "threads": 1}
CONTAINER: dict[str, Options] = {
    "mp4": {"f": "mp4", "movflags": "+faststart"},
    "webm": {"f": "webm"},
    LOSSLESS: {"f": "matroska"},
}
_PIXELS = {LOSSLESS: "bgr0"}


def encode(
    frames: Bytes | None,
    pcm: Ints16 | None,
    *,
    fps: float = 25.0,
    sample_rate_hz: int = 16000,
    container: str = "mp4",
    crf: int | None = None,
    audio_kbps: int = 64,
) -> bytes:
    """Encode one clip; the same input gives the same bytes.

    `frames` is (T, H, W, 3) RGB with even H and W, `pcm` is (N,) mono or (N, C) interleaved; one of
    them may be None, for a file without that track. `container` is "mp4" (H.264 + AAC) or "webm"
    (VP9 + Opus), with the pictures' `crf` and the sound's kbit/s, or "mkv" (FFV1 + PCM), of which
    nothing is lost. Sample 0 and frame 0 share time 0. MediaError when ffmpeg fails.
    """
    if container not in CONTAINER:
        raise ValueError(f"container {container!r}: known are {', '.join(CONTAINER)}")
    if frames is None and pcm is None:
        raise ValueError("nothing to encode: neither frames nor sound")
    options: Options = {**CONTAINER[container], **REPEATABLE}
    log = Log()
    with unnamed_file(_bytes(frames)) as pictures, unnamed_file(_bytes(pcm)) as sound:
        inputs = []
        if frames is not None:
            size = "{1}x{0}".format(*frames.shape[1:3])
            raw = {"f": "rawvideo", "pix_fmt": "rgb24", "s": size, "r": fps}
            inputs.append(ffmpeg.input(url(pictures), **raw))
            options |= _pictures(container, crf)
        if pcm is not None:
            raw = {"f": "s16le", "ar": sample_rate_hz, "ac": 1 if pcm.ndim == 1 else pcm.shape[1]}
            inputs.append(ffmpeg.input(url(sound), **raw))
            options |= {**AUDIO[container], "b:a": f"{audio_kbps}k", "flags:a": "+bitexact"}
        with unnamed_file() as result:
            graph = ffmpeg.output(*inputs, url(result), **options).global_args(*GLOBAL_ARGUMENTS)
            status = run(
                graph.compile(cmd=binary(), overwrite_output=True),
                limits=LIMITS,
                inherited=inherited(pictures, sound, result),
                on_line=log.read,
            )
            refuse_failure(status, log)
            result.seek(0)
            return result.read()


def _pictures(container: str, crf: int | None) -> Options:
    quality: Options = {} if crf is None or container == LOSSLESS else {"crf": crf}
    pixels = _PIXELS.get(container, "yuv420p")
    return {**VIDEO[container], **quality, "pix_fmt": pixels, "flags:v": "+bitexact"}


def refuse_failure(status: int, log: Log) -> None:
    """Raise MediaError "encode" where ffmpeg did not end well, with its first complaint."""
    if status != 0:
        error = log.errors[0] if log.errors else f"ffmpeg ended with status {status}"
        raise MediaError("encode", error)


def _bytes(array: Bytes | Ints16 | None) -> bytes:
    return b"" if array is None else np.ascontiguousarray(array).tobytes()
