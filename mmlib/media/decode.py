"""A media file -> RGB frames on a regular grid of times, and mono sound on the same clock.

One ffmpeg process a clip and one pass over the file: frames come on one pipe, sound on another.
Time 0 is the start of the clip (of the file, or of the section asked for). Frame k shows what a
player shows at k / fps: the latest picture at or before that time. The first picture stands in for
grid times before it, and silence for the time before a late sound track, so that both tracks share
the clock; a track that the file lacks is never made up.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmlib.media.ending import lacks_parts
from mmlib.media.ffmpeg import Limits, MediaError
from mmlib.media.files import File, Source, open_media
from mmlib.media.graph import Form, Section
from mmlib.media.length import find_far
from mmlib.media.reading import read_tracks
from mmlib.media.refusal import refuse, refuse_empty
from mmlib.media.tracks import Fault, Pictures, Reading, Sound
from mmlib.media.within import errors_within
from mmlib.runtime.arrays import Bytes, Ints16

# Reading before the start of a section: frames back to the last key frame are decoded in any case,
# so a short lead costs nothing; the long one serves slow pictures and streams without an index.
_SHORT_LEAD_S = 0.5
_LONG_LEAD_S = 10.0
# ffmpeg looks for a key frame somewhat before the place asked for: before the start of an AVI file
# it finds a later one.
_LEAST_SEEK_S = 0.2
# Containers that are joined in the middle of a packet: decoders then complain about sound media.
_JOINED_MIDWAY = ("mpeg", "mpegts", "mp3", "aac")

# What demuxers say of a file that ends before its time.
_CUT_SHORT = re.compile(
    "ended prematurely|truncat|partial file|end of file|packet size mismatch", re.IGNORECASE
)
# A section that lacks no more than this is there.
_MISSED_S = 0.1
# Of a time in frames: ffmpeg prints six digits of its seconds.
_ROUNDING = 1e-4


@dataclass(frozen=True)
class Decoded:
    """One decoded clip; a track that the file lacks is None, and so is its length.

    `frames` is (T, H, W, 3) uint8 RGB, frame k at k / fps seconds. `pcm` is (N,) int16, mono.
    `video_s` and `audio_s` are the lengths of the tracks, in seconds, without what stands in for a
    late start; `offset_s` is the start of the sound less the start of the pictures. `damage` is
    what the decoder complained about; None for a sound file. `damage_kinds` says the same in names
    to count by: empty_video, empty_audio (of a track that is there), video_errors, audio_errors,
    video_times, audio_times (time stamps run back), audio_values (samples that are no sound),
    cut_short, decoder_failed.
    """

    frames: Bytes | None
    pcm: Ints16 | None
    video_s: float | None
    audio_s: float | None
    offset_s: float | None
    damage: str | None
    damage_kinds: tuple[str, ...] = ()


def decode(
    source: Source,
    form: Form,
    limits: Limits,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
) -> Decoded:
    """Decode one clip, given as a file (its bytes, path, or itself open), or its section.

    Stereo and surround are mixed with weights that sum to at most 1 (stereo: the mean), so the mix
    cannot clip. Pictures are turned as the file says, cropped to the central square as displayed
    and scaled. Damaged media give what decodes, with `damage` set. MediaError kinds: missing_file,
    not_a_file, empty_file, unreadable_file, not_media, no_tracks, too_large, too_long,
    empty_section, undecodable, timeout, memory, crashed.
    """
    start = start_s or 0.0
    section = Section(start, end_s, limits.max_seconds, _lead(start, _SHORT_LEAD_S))
    section.refuse()
    with open_media(source) as file:
        reading = read_tracks(file, form, section, limits)
        if section.lead_s and reading.pictures.present and not reading.pictures.begin <= 0:
            section = replace(section, lead_s=_lead(start, _LONG_LEAD_S))
            reading = read_tracks(file, form, section, limits)
        reading = replace(
            _told_far(file, reading, form, section, limits),
            partial=_is_partial(file, reading, form, section),
            errors=_errors(file, reading, section, limits),
        )
    refuse(reading, limits)
    frames = _on_grid(reading.pictures, form, section)
    pcm = _on_clock(reading.sound, form, section)
    if frames is None and pcm is None:
        refuse_empty(reading, section)
    begins = _begin(reading.sound.begin, section), _begin(reading.pictures.begin, section)
    decoded = Decoded(
        frames=frames,
        pcm=pcm,
        video_s=None if frames is None else _seconds(_end(reading.pictures, section) - begins[1]),
        audio_s=None if pcm is None else _seconds(len(pcm) / form.sample_rate_hz - begins[0]),
        offset_s=None if frames is None or pcm is None else round(begins[0] - begins[1], 6),
        damage=None,
    )
    longest = max(decoded.video_s or 0.0, decoded.audio_s or 0.0)
    if longest > section.longest_s:
        raise MediaError("too_long", f"at least {longest:.1f} s, over {limits.max_seconds:g} s")
    found = _damage(reading, decoded, section)
    return replace(
        decoded,
        damage="; ".join(text for _, text in found) or None,
        damage_kinds=tuple(kind for kinds, _ in found for kind in kinds),
    )


def _lead(start_s: float, lead_s: float) -> float:
    return lead_s if start_s > lead_s + _LEAST_SEEK_S else start_s


def _on_grid(pictures: Pictures, form: Form, section: Section) -> Bytes | None:
    """Frames at 0, 1 / fps, 2 / fps, ...; the latest picture fills a hole in the grid."""
    if not len(pictures.frames):
        return None
    count = max(1, math.ceil(_end(pictures, section) * form.fps - _ROUNDING))
    if section.start_s and pictures.end <= 0:
        return None
    if count == len(pictures.ticks) == pictures.ticks[-1] + 1:
        return pictures.frames
    latest = np.searchsorted(pictures.ticks, np.arange(count), side="right") - 1
    return pictures.frames[np.maximum(latest, 0)]


def _on_clock(sound: Sound, form: Form, section: Section) -> Ints16 | None:
    """Sound whose sample 0 is at time 0."""
    samples = sound.samples
    late = round(sound.begin * form.sample_rate_hz)
    if late and len(samples):
        samples = np.concatenate([np.zeros(max(0, late), "<i2"), samples[max(0, -late) :]])
    if section.length_s is not None:
        samples = samples[: round(section.length_s * form.sample_rate_hz)]
    return samples if len(samples) else None


def _errors(file: File, reading: Reading, section: Section, limits: Limits) -> frozenset[str]:
    """Complaints about the tracks, but those about what lies after the section."""
    tracks: dict[str, Pictures | Sound] = {"Video": reading.pictures, "Audio": reading.sound}
    kinds = [kind for kind, track in tracks.items() if track.present]
    errors = frozenset(error for kind in kinds for error in tracks[kind].log.errors)
    if errors and section.end_s is not None:
        within = errors_within(file, section, limits, kinds)
        errors = errors if within is None else errors & within
    return errors


def _told_far(
    file: File, reading: Reading, form: Form, section: Section, limits: Limits
) -> Reading:
    """The reading, with a fault where a wrong time stamp has ended a track."""

    def fault(kind: str, track: Pictures | Sound, end: float) -> Fault | None:
        if track.fault or not track.present:
            return track.fault
        return find_far(file, kind, end, track.log, section, limits)

    sound, pictures = reading.sound, reading.pictures
    return replace(
        reading,
        sound=replace(sound, fault=fault("Audio", sound, _sound_end(sound, form))),
        pictures=replace(pictures, fault=fault("Video", pictures, pictures.end)),
    )


def _sound_end(sound: Sound, form: Form) -> float:
    return sound.begin + len(sound.samples) / form.sample_rate_hz


def _is_partial(file: File, reading: Reading, form: Form, section: Section) -> bool:
    """Tell whether the file lacks parts that the clip may lack for that."""
    sound_end = _sound_end(reading.sound, form)
    ends = ((reading.pictures, reading.pictures.end), (reading.sound, sound_end))
    least = min((end for track, end in ends if track.present), default=0.0)
    if section.length_s is not None and least > section.length_s - _MISSED_S:
        return False
    return lacks_parts(file, section.start_s + sound_end)


def _end(pictures: Pictures, section: Section) -> float:
    return min(pictures.end, math.inf if section.length_s is None else section.length_s)


def _begin(time_s: float, section: Section) -> float:
    # What was read ahead of a section is no part of the clip.
    return max(0.0, time_s) if section.lead_s else time_s


def _seconds(length: float) -> float:
    return round(max(0.0, length), 6)


def _damage(
    reading: Reading, decoded: Decoded, section: Section
) -> list[tuple[Sequence[str], str]]:
    """Each thing that is wrong: the names of its kinds, and what it is in words."""
    tracks = (
        ("video", "picture", reading.pictures, decoded.frames),
        ("audio", "sound", reading.sound, decoded.pcm),
    )
    found: list[tuple[Sequence[str], str]] = []
    erring, status, heard = list[str](), 0, False
    for name, content_name, track, content in tracks:
        if not track.present:
            continue
        if reading.errors & set(track.log.errors):
            erring.append(f"{name}_errors")
        # A track may have ended before the section.
        told = reading.errors or track.log.unknown
        if content is None and (told or not section.start_s):
            found.append(([f"empty_{name}"], f"the {name} track gives no {content_name}"))
        elif content is not None:
            status = status or track.status
        heard |= bool(track.log.errors)
        if track.fault:
            found.append(([f"{name}_{track.fault.kind}"], track.fault.text))
    joined = section.start_s and reading.pictures.log.format in _JOINED_MIDWAY
    if reading.partial:
        found.append((["cut_short"], "the file is not whole"))
    if reading.errors and not joined:
        if not reading.partial and any(map(_CUT_SHORT.search, reading.errors)):
            erring.append("cut_short")
        # The demuxer and the decoder speak as they come to it: order and number may vary.
        found.append((erring, f"the decoder says: {min(reading.errors)}"))
    elif status and not heard:
        found.append((["decoder_failed"], f"the decoder ended with status {status}"))
    return found
