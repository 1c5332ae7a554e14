"""How long an MP3 file should be, as the tag tells that encoders write into its first frame."""

import struct
from collections.abc import Callable
from typing import NamedTuple

_TAGS = (b"Xing", b"Info")
# Where the tag stands in the frame: it depends on the version and the number of channels.
_PLACES = (13, 21, 36)
_FRAME_BYTES = 192
_RATES = (44100, 48000, 32000, 0)
# By the two bits of the version: what the rates are divided by, and samples a frame.
_VERSIONS = {3: (1, 1152), 2: (2, 576), 0: (4, 576)}
# Encoders whose counts of frames and of samples left out are known to be right.
_ENCODERS = (b"LAME", b"Lavf", b"Lavc")
_SLACK_S = 0.005


class Stated(NamedTuple):
    """The place after the last byte, but for what is in doubt, and seconds of sound; 0: unknown."""

    end: int
    seconds: float


def read_tag(at: Callable[[int, int], bytes], head: bytes) -> Stated:
    """What the tag of a file states that begins with `head`; `at` gives bytes at a place."""
    begin = 0
    if head[:3] == b"ID3":
        # Seven bits a byte.
        begin = 10 + sum(byte << 7 * place for place, byte in enumerate(head[9:5:-1]))
    frame = at(begin, _FRAME_BYTES).ljust(_FRAME_BYTES, b"\0")
    for place in _PLACES:
        if frame[place : place + 4] in _TAGS:
            flags, *numbers = struct.unpack(">III", frame[place + 4 : place + 16])
            frames = numbers[0] if flags & 1 else 0
            length = numbers[flags & 1] if flags & 2 else 0
            # Some writers count the frame of this tag, some do not.
            end = begin + length - 2 * length // frames if frames else 0
            more = place + 8 + sum(4 for bit in (1, 2, 8) if flags & bit) + 25 * (flags & 4)
            return Stated(end, _seconds(frame, frames, frame[more : more + 24]))
    return Stated(0, 0.0)


def lacks_frames(stated: Stated, sound_end_s: float) -> bool:
    """Tell whether sound that was decoded so far is less than was stated."""
    return stated.seconds - sound_end_s > _SLACK_S


def _seconds(frame: bytes, frames: int, encoder: bytes) -> float:
    divisor, samples = _VERSIONS.get(frame[1] >> 3 & 3, (1, 0))
    rate = _RATES[frame[2] >> 2 & 3] // divisor
    if not rate or not encoder.startswith(_ENCODERS):
        return 0.0
    # Twelve bits each: samples before and after the sound, which are left out.
    left_out = int.from_bytes(encoder[21:24])
    return (frames * samples - (left_out >> 12) - (left_out & 0xFFF)) / rate
