"""Both tracks of a file: read in one run of ffmpeg, or each by itself when anything is odd.

ffmpeg ends all that it does when one track gives trouble, and how far the other has come by then is
chance. So a run over both tracks counts only when nothing went wrong in it. Else each track is read
alone: what it gives then depends on the file only, and one's trouble is not the other's.
"""

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace

import numpy as np

from mmlib.media.capture import LEAST_BYTES, Captured, capture, read_frame_list, read_numbers
from mmlib.media.changing import read_changing
from mmlib.media.delay import find_delay, may_be_late
from mmlib.media.ffmpeg import Limits, MediaError
from mmlib.media.files import File, url
from mmlib.media.graph import Form, Section, decode_command, tells_covers
from mmlib.media.length import Claim, is_longer, refuse_claim
from mmlib.media.overload import find_fault, to_ints
from mmlib.media.packets import list_packets
from mmlib.media.skipped_frames import find_unseen
from mmlib.media.timeline import NO_STAMP, leaps, place
from mmlib.media.tracks import Fault, Pictures, Reading, Sound, find_lost
from mmlib.runtime.arrays import Ints, Ints16

_KINDS = ("Video", "Audio")
_OUTPUTS = {"Video": ("frames", "ticks", "times"), "Audio": ("sound", "blocks")}
# Containers of bare sound have no time stamps: ffmpeg makes them up from the first packet's rate.
_BARE = ("aac", "ac3", "aiff", "amr", "ape", "au", "eac3", "flac", "mp3", "tta", "wav", "wv")
# An unknown layout may become another one midway.
_LEAST_CHANNELS = 16
# Decoders refuse more; a damaged head may tell of thousands, and each is named in the command.
_MOST_CHANNELS = 512
# Samples pass from thread to thread in blocks: of the decoder's size that costs 3 % of all work.
_MERGED_S = 0.25


@dataclass(frozen=True)
class _Job:
    file: File
    form: Form
    section: Section
    limits: Limits

    def run(
        self, kinds: tuple[str, ...], *, trust: bool = True, drop: str | None = None,
        channels: int = 0, merged: int = 0, beside: str | None = None,
    ) -> Captured:  # fmt: skip
        """Decode the tracks; Claim unless `trust` when the header tells of too long a file."""
        output_bytes = self.output_bytes

        def command(outputs: Mapping[str, str]) -> list[str]:
            return decode_command(
                url(self.file), outputs, self.form, self.section, self.limits,
                most_frames=output_bytes // self.form.frame_bytes, drop=drop, channels=channels,
                merged=merged, beside=beside,
            )  # fmt: skip

        names = [name for kind in kinds for name in _OUTPUTS[kind]]
        check = (lambda log: None) if trust else (lambda log: refuse_claim(log, self.section))
        return capture(self.file, names, command, self.limits, output_bytes, check)

    def alone(self, kind: str, absent: Container[int], *, channels: int = 0) -> Captured:
        """Decode one track; `absent` are the numbers of the tracks that the file is known to lack.

        The other one is passed by, where there is one (see `graph.passed_by`).
        """
        other = 1 - _KINDS.index(kind)
        if other not in absent:
            run = self.run((kind,), channels=channels, beside=_KINDS[other])
            # A track of which too little is there to tell its form is not even passed by.
            failed = run.status > 0 and not any(run.data.values())
            if 1 not in run.log.absent and not failed:
                return run
        return self.run((kind,), channels=channels)

    @property
    def merged(self) -> int:
        """How many samples make a block where nothing is odd."""
        return round(_MERGED_S * self.form.sample_rate_hz)

    @property
    def shows_only_covers(self) -> bool:
        """Tell whether all its pictures are covers, which ffmpeg did not leave out by itself."""
        return not tells_covers() and not list_packets(self.file, "Shown", 0.0, 0.1, self.limits)

    @property
    def output_bytes(self) -> int:
        seconds = self.section.read_s + self.section.lead_s + 4.0
        frames = math.ceil(seconds * self.form.fps) * self.form.frame_bytes
        return max(frames, math.ceil(seconds * self.form.sample_rate_hz) * 4, LEAST_BYTES)


def read_tracks(file: File, form: Form, section: Section, limits: Limits) -> Reading:
    """Read what the file has of both tracks; MediaError when a limit is passed."""
    job = _Job(file, form, section, limits)
    reading, absent = _read_quickly(job) or _read_both(job)
    pictures = reading.pictures
    if pictures.present and may_be_late(pictures.log.format, pictures.begin, section):
        reading = replace(reading, pictures=_in_time(job, pictures, absent))
    return reading


def _in_time(job: _Job, pictures: Pictures, absent: Container[int]) -> Pictures:
    """Pictures that were read too late, read again."""
    delay = find_delay(job.file, job.limits)
    if not delay:
        return pictures
    job = replace(job, section=replace(job.section, delay_s=delay))
    return _pictures_alone(job, pictures, absent)


_Read = tuple[Reading, Container[int]]


def _read_quickly(job: _Job) -> _Read | None:
    """Without the pictures that nobody will see; None where that does not pay, or is in doubt."""
    unseen = find_unseen(job.file, job.form, job.section, job.limits)
    if unseen is None:
        return None
    both = job.run(_KINDS, drop=unseen.drop, merged=job.merged)
    pictures = _pictures(both, job.form)
    if not both.clean or not np.array_equal(pictures.times, unseen.left):
        return None
    sound = _merged_sound(both, job) or _sound_alone(job, ())
    return Reading(replace(pictures, times=unseen.times), sound), ()


def _read_both(job: _Job) -> _Read:
    """In one run, or each alone; with the numbers of the tracks that the file lacks."""
    if job.shows_only_covers:
        sound = _sound_alone(job, {0})
        pictures = Pictures.none(job.form.size, sound.log, sound.status, present=False)
        return Reading(pictures, sound), {0}
    try:
        both = job.run(_KINDS, trust=False, merged=job.merged)
    except Claim as claim:
        if is_longer(job.file, job.section, job.limits):
            raise MediaError("too_long", str(claim)) from None
        both = job.run(_KINDS, merged=job.merged)
    pictures, absent = _pictures(both, job.form), both.log.absent
    if 1 in absent:
        sound = Sound.none(both.log, both.status)
    else:
        sound = (_merged_sound(both, job) if both.clean else None) or _sound_alone(job, absent)
    if 0 in absent:
        pictures = replace(pictures, present="Video" in both.log.unknown)
    elif not both.clean or not pictures.whole:
        pictures = _pictures_alone(job, pictures, absent)
    return Reading(pictures, sound), absent


def _pictures_alone(job: _Job, joint: Pictures, absent: Container[int]) -> Pictures:
    if joint.whole:
        run = job.alone("Video", absent)
        pictures = _pictures(run, job.form, present=0 not in run.log.absent)
        if pictures.whole:
            return pictures
    beside = None if 1 in absent else "Audio"
    return read_changing(job.file, job.form, job.section, job.limits, job.output_bytes, beside)


def _sound_alone(job: _Job, absent: Container[int]) -> Sound:
    run = job.alone("Audio", absent)
    if run.status > 0 and 0 not in run.log.absent:
        # No rule mixes down a number of channels without known places: each counts alike then.
        tracks = list_packets(job.file, "Audio", 0.0, 1.0, job.limits)
        most = max([_LEAST_CHANNELS, *(track.channels for track in tracks)])
        most = min(most, _MOST_CHANNELS)
        averaged = job.alone("Audio", absent, channels=most)
        if len(averaged.data["sound"]) > len(run.data["sound"]):
            run = averaged
    return replace(_sound(run, job), present=0 not in run.log.absent)


def _pictures(run: Captured, form: Form, present: bool = True) -> Pictures:
    data = run.data
    listed = read_frame_list(data["times"])
    # Of a track that was read to its end, the last line is that end.
    times = listed.times[:-1] if len(listed.times) > 1 else listed.times
    ticks = read_numbers(data["ticks"])[:, 0]
    # A process that was ended may leave half a picture, or a list that is a line short.
    count = min(len(data["frames"]) // form.frame_bytes, len(ticks)) if len(times) else 0
    frames = np.frombuffer(data["frames"], np.uint8, count * form.frame_bytes)
    return Pictures(
        frames=frames.reshape(-1, form.size, form.size, 3)[:count],
        ticks=ticks[:count],
        times=times,
        end=float(listed.times[-1]) if len(listed.times) else -math.inf,
        log=run.log,
        status=run.status,
        present=present,
        whole=listed.parts <= 1,
        fault=find_lost("the pictures", -np.diff(times).min(initial=0.0)),
    )


def _merged_sound(run: Captured, job: _Job) -> Sound | None:
    """Sound of merged blocks; None where their stamps leap, so that only its own blocks will do."""
    blocks = read_numbers(run.data["blocks"], columns=2)
    samples, fault = _samples(run, blocks)
    if run.log.format not in _BARE and leaps(blocks, job.form.sample_rate_hz):
        return None
    samples = samples[: -job.merged]
    begin = int(blocks[0, 0]) if len(blocks) and len(samples) else 0
    return Sound(samples, begin / job.form.sample_rate_hz, run.log, run.status, fault=fault)


def _sound(run: Captured, job: _Job) -> Sound:
    blocks = read_numbers(run.data["blocks"], columns=2)
    samples, fault = _samples(run, blocks)
    if run.log.format in _BARE:
        blocks[1:, 0] = NO_STAMP
    rate = job.form.sample_rate_hz
    longest = math.ceil((job.section.read_s + job.section.lead_s + 2.0) * rate)
    samples, begin, lost = place(samples, blocks, rate, longest)
    fault = fault or find_lost("the sound", lost / rate)
    return Sound(samples, begin / rate, run.log, run.status, fault=fault)


def _samples(run: Captured, blocks: Ints) -> tuple[Ints16, Fault | None]:
    data = run.data["sound"]
    samples = np.frombuffer(data, "<f4", len(data) // 4)
    # What was read ahead of a section has no say about it.
    begin = int(blocks[0, 0]) if len(blocks) else 0
    said = find_fault(samples[-begin if NO_STAMP < begin < 0 else 0 :])
    return to_ints(samples), Fault("values", said) if said else None
