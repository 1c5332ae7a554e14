"""The ffmpeg command lines that read a file: which formats are opened, and which filters run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import ffmpeg

from mmlib.media.ffmpeg import GLOBAL_ARGUMENTS, Limits, MediaError, binary, version

# Playlists and scripts can name other files and hosts: only plain containers are opened, and only
# through plain files and pipes.
_FORMATS = (
    "mov,matroska,avi,mpeg,mpegts,ogg,mp3,wav,flac,asf,flv,aac,aiff,"
    "ac3,amr,ape,au,caf,dv,eac3,gif,ivf,mxf,nut,tta,w64,wv"
)
_PROTOCOLS = "file,pipe"
# Pictures that are no part of what is shown.
_COVERS = ("attached_pic", "timed_thumbnails")
# The first that tells tracks apart by what they are for.
_TELLS_COVERS = 8
# The central square as displayed: pixels need not be square.
_CROP = "crop=w='min(iw,ih/sar)':h='min(ih,iw*sar)'"
# The scaler's fast paths differ between processors; this one does not, and costs no more here.
_SCALER = "bicubic+accurate_rnd+bitexact"
# So many units of a section's pictures make one of their track.
_FINER = 1000

_HAIR_S = 0.05
# The last frame again, at the end of the track.
END_MARK = "tpad=stop=1:stop_mode=clone"

Options = dict[str, str | float | None]
_ONLY: dict[str, Options] = {
    "Video": {"an": None},
    "Audio": {"vn": None},
    "Shown": {"map": "0:V?"},
}


@dataclass(frozen=True)
class Form:
    """What clips are decoded to: mono sound at a rate, square frames at a rate and a size."""

    sample_rate_hz: int
    fps: float
    size: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return self.size**2 * 3


@dataclass(frozen=True)
class Section:
    """Which seconds of a file are the clip; `end_s` None: to its end, at most `max_seconds`.

    Reading begins `lead_s` before the start, to know the picture that is on show there. `delay_s`:
    so much too late are the pictures' times as they are read (see `delay`).
    """

    start_s: float
    end_s: float | None
    max_seconds: float
    lead_s: float = 0.0
    delay_s: float = 0.0

    @property
    def length_s(self) -> float | None:
        """Length that was asked for, if any."""
        return None if self.end_s is None else self.end_s - self.start_s

    def refuse(self) -> None:
        """Raise MediaError "too_long" when more is asked for than the limit (and a hair)."""
        if self.length_s is not None and self.length_s > self.max_seconds + _HAIR_S:
            raise MediaError("too_long", f"{self.length_s:.1f} s, over {self.max_seconds:g} s")

    @property
    def read_s(self) -> float:
        """How far a file is read that lies about its length, or does not know it."""
        return self.length_s or self.max_seconds + 2.0

    @property
    def longest_s(self) -> float:
        """What a file without a section may last: frames of sound end where they end."""
        return self.max_seconds + 0.5


def decode_command(
    source: str,
    outputs: Mapping[str, str],
    form: Form,
    section: Section,
    limits: Limits,
    *,
    most_frames: int,
    drop: str | None = None,
    channels: int = 0,
    merged: int = 0,
    beside: str | None = None,
) -> list[str]:
    """Decode in one pass; `outputs` says where each of these goes, and may leave out a track's.

    `frames`: raw RGB on the grid, the first `most_frames`, and `ticks`: their grid indices, one a
    line; `times`: two lines for each of the source's own frames, `frame:<number> pts:<time stamp>
    pts_time:<seconds>` and a key, and another two for the end of the track; `sound`: mono f32le,
    and `blocks`: `<first sample by its time stamp> <samples>`, a line a block. Seconds, ticks and
    samples count from the section's start. ffmpeg chooses the tracks: the largest picture, the
    default sound. `drop` is a filter that leaves out packets of the pictures (`skipped_frames`).
    So many `channels` of sound are averaged, or, for 0, mixed by the rules for their places.
    `merged`: blocks are of so many samples, for fewer hands that each passes through, and as many
    samples of silence follow the last, so that its neighbour's time stamp tells where it ends.
    `beside`: see `passed_by`.
    """
    media = open_input(source, section, limits, drop)
    graphs = []
    if "frames" in outputs:
        filters = (
            *shift("setpts", section),
            END_MARK,
            *listed(outputs["times"]),
            # The default rounding shows pictures up to half a period before their time; the start
            # time lets the first picture stand in for grid times before it.
            f"fps={form.fps}:round=up:start_time=0",
            *scaled(form),
        )
        frames = frame_options(filters) | {"frames:v": most_frames}
        frames |= {"stats_enc_pre": outputs["ticks"], "stats_enc_pre_fmt": "{pts}"}
        graphs.append(media.output(outputs["frames"], **frames))
    if "sound" in outputs:
        sound = _sound_options(form, section, channels, merged)
        sound |= {"stats_enc_pre": outputs["blocks"], "stats_enc_pre_fmt": "{pts} {samp}"}
        graphs.append(media.output(outputs["sound"], **sound))
    return compiled([*graphs, *passed_by(media, beside)])


def passed_by(
    media: ffmpeg.nodes.FilterableStream, kind: str | None
) -> list[ffmpeg.nodes.OutputStream]:
    """Outputs that take a kind of track ("Video", "Audio"), if any, without decoding it.

    In some containers time 0 is where the first of the tracks in use begins: so both are in use.
    """
    return [] if kind is None else [media.output("-", **copy_options(kind, "null"))]


def copy_options(kind: str | None, container: str) -> Options:
    """How packets are copied, of one kind of track or of both, of those that ffmpeg chooses.

    The kind "Shown" is all pictures but covers, in any version of ffmpeg.
    """
    return {"c": "copy", "f": container, "sn": None, "dn": None, **_ONLY.get(kind or "", {})}


def open_input(
    source: str, section: Section, limits: Limits, drop: str | None = None
) -> ffmpeg.nodes.FilterableStream:
    """The file from where reading begins, to the section's end or as far as it is read."""
    begin: Options = {"t": section.lead_s + section.read_s + section.delay_s}
    if section.start_s > section.lead_s:
        begin["ss"] = section.start_s - section.lead_s
    if drop is not None:
        begin["bsf:v"] = drop
    return ffmpeg.input(source, **begin, **input_options(limits))


def compiled(outputs: Sequence[ffmpeg.nodes.OutputStream]) -> list[str]:
    """The command line that writes the outputs."""
    merged = ffmpeg.merge_outputs(*outputs).global_args(*GLOBAL_ARGUMENTS)
    command: list[str] = merged.compile(cmd=binary(), overwrite_output=True)
    return command


def input_options(limits: Limits) -> Options:
    """What every reading of a file is bound to: plain containers, small pictures, one thread."""
    covers = dict.fromkeys((f"discard:disp:{cover}" for cover in _COVERS), "all")
    return {
        "protocol_whitelist": _PROTOCOLS,
        "format_whitelist": _FORMATS,
        "max_pixels": limits.max_pixels,
        "threads": 1,
        **(covers if tells_covers() else {}),
    }


@cache
def tells_covers() -> bool:
    """Tell whether ffmpeg leaves covers out by itself; an older one takes them for video."""
    major = version().split(".")[0]
    return not major.isdecimal() or int(major) >= _TELLS_COVERS


def frame_options(filters: Sequence[str]) -> Options:
    """Raw RGB frames as they leave the filters."""
    return {
        "f": "rawvideo",
        "flush_packets": 0,
        "pix_fmt": "rgb24",
        "fps_mode": "passthrough",
        "vf": ",".join(filters),
    }


def shift(name: str, section: Section) -> tuple[str, ...]:
    """The filters ("setpts" or "asetpts" at their end) that put time 0 where the section begins."""
    if name == "asetpts":
        return (f"asetpts=PTS-{section.lead_s}/TB",) if section.lead_s else ()
    if not section.lead_s and not section.delay_s:
        return ()
    # A track's own unit may be as long as a frame: in AVI, Ogg, MXF. ffmpeg has taken the place
    # from which it reads off every time, rounded to that unit: that is put back first.
    read_from, zero = section.start_s - section.lead_s, section.start_s + section.delay_s
    rounded = f"{_FINER}*round({read_from}/({_FINER}*TB))"
    return (f"settb='max(intb/{_FINER},1e-9)'", f"setpts='PTS+{rounded}-{zero}/TB'")


def listed(url: str) -> tuple[str, ...]:
    """Filters that list the frames that pass; the list begins anew where the picture changes."""
    target = url.replace(":", r"\\:")
    # `print` writes only frames that carry a key; a picture may bring a text of that name with it.
    key = "metadata=add:key=t:value=1"
    return ("metadata=delete", key, f"metadata=print:key=t:file={target}")


def scaled(form: Form) -> tuple[str, ...]:
    """Filters that crop the central square as displayed and scale it."""
    return (_CROP, f"scale={form.size}:{form.size}:flags={_SCALER}")


def _sound_options(form: Form, section: Section, channels: int, merged: int) -> Options:
    mono = (
        # Floats, since 16 bit would hide a range that is no sound's (see `overload`).
        f"aresample=out_sample_rate={form.sample_rate_hz}:out_sample_fmt=flt"
        # The weights sum to at most 1 (else they depend on the sample format: 3 dB for stereo).
        ":out_chlayout=mono:rematrix_maxval=1"
    )
    averaged = (_mean(channels),) if channels else ()
    merging = (f"apad=pad_len={merged}", f"asetnsamples={merged}:p=0") if merged else ()
    filters = (*shift("asetpts", section), *averaged, mono, *merging)
    return {"f": "f32le", "flush_packets": 0, "af": ",".join(filters)}


def _mean(channels: int) -> str:
    # Their number may change midway.
    terms = (f"val({k})*gt(nb_in_channels\\,{k})" for k in range(channels))
    return f"aeval=({'+'.join(terms)})/nb_in_channels:c=mono"
