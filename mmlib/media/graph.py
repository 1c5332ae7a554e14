"""The ffmpeg command lines that read a file: which formats are opened, and which filters run."""

from collections.abc import Mapping
from dataclasses import dataclass

import ffmpeg

from mmlib.media.ffmpeg import GLOBAL_ARGUMENTS, Limits, MediaError, binary

# Playlists and scripts can name other files and hosts: only plain containers are opened, and only
# through plain files and pipes.
_FORMATS = (
    "mov,matroska,avi,mpeg,mpegts,ogg,mp3,wav,flac,asf,flv,aac,aiff,"
    "ac3,amr,ape,au,caf,dv,eac3,gif,ivf,mxf,nut,tta,w64,wv"
)
_PROTOCOLS = "file,pipe"
# The central square as displayed: pixels need not be square.
_CROP = "crop=w='min(iw,ih/sar)':h='min(ih,iw*sar)'"
# The scaler's fast paths differ between processors; this one does not, and costs no more here.
_SCALER = "bicubic+accurate_rnd+bitexact"

Options = dict[str, str | float | None]


@dataclass(frozen=True)
class Form:
    """What clips are decoded to: mono sound at a rate, square frames at a rate and a size."""

    sample_rate_hz: int
    fps: float
    size: int


@dataclass(frozen=True)
class Section:
    """Which seconds of a file are the clip; `end_s` None: to its end, at most `max_seconds`.

    Reading begins `lead_s` before the start, to know the picture that is on show there.
    """

    start_s: float
    end_s: float | None
    max_seconds: float
    lead_s: float = 0.0

    @property
    def length_s(self) -> float | None:
        """Length that was asked for, if any."""
        return None if self.end_s is None else self.end_s - self.start_s

    def refuse(self, duration_s: float | None) -> None:
        """Raise MediaError when a file of that length (None: unknown) cannot give the clip.

        Kinds: "too_long" for a clip over the limit, "empty_section" for one after the file's end.
        """
        if duration_s is not None and self.start_s > 0 and self.start_s >= duration_s:
            message = f"it starts at {self.start_s:g} s, the file lasts {duration_s:g} s"
            raise MediaError("empty_section", message)
        length = self.length_s
        if length is None and duration_s is not None:
            length = duration_s - self.start_s
        if length is not None and length > self.max_seconds:
            raise MediaError("too_long", f"{length:.1f} s, over {self.max_seconds:g} s")


def probe_command(source: str, limits: Limits) -> list[str]:
    """Print the header of a file; ffmpeg then ends with an error, since it is given no output."""
    graph = ffmpeg.input(source, **input_options(limits)).output("-")
    command: list[str] = graph.global_args(*GLOBAL_ARGUMENTS).compile(cmd=binary())
    command.remove("-")
    return command


def decode_command(
    source: str,
    outputs: Mapping[str, str],
    form: Form,
    section: Section,
    limits: Limits,
    *,
    drop: str | None = None,
) -> list[str]:
    """Decode in one pass; `outputs` says where each of these goes, and may leave out a track's.

    `frames`: raw RGB on the grid, and `ticks`: their grid indices, one a line; `times`: a line with
    `pts_time:<seconds>` for each of the source's own frames; `sound`: mono s16le, and `begin`: the
    second at which it begins (first line). Seconds and ticks count from the section's start. ffmpeg
    chooses the tracks: the largest picture, the default sound. `drop` is a filter that leaves out
    packets of the pictures (see `skipped_frames`).
    """
    # A file that lies about its length, or does not know it, is read this far and then refused.
    length = section.length_s or section.max_seconds + 2.0
    begin: Options = {"t": length + section.lead_s}
    if section.start_s > 0:
        begin["ss"] = section.start_s - section.lead_s
    if drop is not None:
        begin["bsf:v"] = drop
    media = ffmpeg.input(source, **begin, **input_options(limits))
    graphs = []
    if "frames" in outputs:
        frames = _frame_options(form, section, outputs["times"])
        frames |= {"stats_enc_pre": outputs["ticks"], "stats_enc_pre_fmt": "{pts}"}
        graphs.append(media.output(outputs["frames"], **frames))
    if "sound" in outputs:
        sound = _sound_options(form, section)
        sound |= {"stats_enc_pre": outputs["begin"], "stats_enc_pre_fmt": "{t}"}
        graphs.append(media.output(outputs["sound"], **sound))
    merged = ffmpeg.merge_outputs(*graphs).global_args(*GLOBAL_ARGUMENTS)
    command: list[str] = merged.compile(cmd=binary(), overwrite_output=True)
    return command


def input_options(limits: Limits) -> Options:
    """What every reading of a file is bound to: plain containers, small pictures, one thread."""
    return {
        "protocol_whitelist": _PROTOCOLS,
        "format_whitelist": _FORMATS,
        "max_pixels": limits.max_pixels,
        "threads": 1,
    }


def _frame_options(form: Form, section: Section, times: str) -> Options:
    filters = (
        *_shift("setpts", section),
        # Writes the time of each frame: `print` does so only for frames that carry a key.
        "metadata=add:key=t:value=1",
        f"metadata=print:key=t:file={times.removeprefix('file:')}",
        # The default rounding shows pictures up to half a period before their time; the start time
        # lets the first picture stand in for grid times before it.
        f"fps={form.fps}:round=up:start_time=0",
        _CROP,
        f"scale={form.size}:{form.size}:flags={_SCALER}",
    )
    return {
        "f": "rawvideo",
        "flush_packets": 0,
        "pix_fmt": "rgb24",
        "fps_mode": "passthrough",
        "vf": ",".join(filters),
    }


def _sound_options(form: Form, section: Section) -> Options:
    filters = (
        *_shift("asetpts", section),
        # Gaps become silence, so that sound stays in step; the weights sum to at most 1 (else they
        # depend on the sample format: 3 dB for stereo).
        f"aresample=out_sample_rate={form.sample_rate_hz}:out_sample_fmt=s16:out_chlayout=mono"
        ":rematrix_maxval=1:async=1",
        # A second at a time: the process that reads is woken less often.
        f"asetnsamples={form.sample_rate_hz}:p=0",
    )
    return {"f": "s16le", "flush_packets": 0, "af": ",".join(filters)}


def _shift(name: str, section: Section) -> tuple[str, ...]:
    return (f"{name}=PTS-{section.lead_s}/TB",) if section.lead_s else ()
