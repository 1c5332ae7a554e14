"""One visit of a video's page by yt-dlp, in a process of its own: `python -m` this module.

The first line of stdin is the visit as JSON, one line of JSON on stdout is the report. When stdin
closes before that, whoever asked has died: the folder and all processes of this group go too.
"""

import json
import os
import resource
import shutil
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

_FILE_BYTES = 1 << 30
_MEMORY_BYTES = 4 << 30
# The cut is encoded anew, from a source that is compressed already: finer than x264's default 23.
_ENCODING = (
    *("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p"),
    *("-vf", "scale=trunc(iw/2)*2:trunc(ih/2)*2", "-c:a", "aac", "-b:a", "128k"),
    *("-map_metadata", "-1", "-fflags", "+bitexact", "-threads", "1", "-f", "mp4"),
)
# A playlist in disguise reaches no local file.
_PROTOCOLS = "http,https,tcp,tls,crypto,httpproxy"


class _Log:
    """yt-dlp's messages; errors come back as exceptions, so only warnings are of interest."""

    def debug(self, message: str) -> None:
        """Progress: nobody watches."""

    def warning(self, message: str) -> None:
        """Kept in the log of the visit."""
        print(f"WARNING: {message}", file=sys.stderr)

    def error(self, message: str) -> None:
        """Kept in the log of the visit."""
        print(message, file=sys.stderr)


def _options(visit: dict[str, Any]) -> dict[str, Any]:
    from yt_dlp.utils import download_range_func  # type: ignore[import-untyped]

    section = [(visit["start_s"], visit["end_s"])]
    reading = ["-nostats", "-loglevel", "repeat+level+warning", "-protocol_whitelist", _PROTOCOLS]
    reading += ["-rw_timeout", str(round(visit["stall_s"] * 1e6)), "-threads", "1"]
    return {
        "logger": _Log(),
        "noprogress": True,
        "format": "bv*+ba/b",
        # The nearest size that is not above the limit; H.264 is the cheapest to decode.
        "format_sort": [f"res:{visit['height']}", "vcodec:h264", "acodec:aac"],
        "merge_output_format": "mp4",
        "paths": {"home": visit["folder"]},
        "outtmpl": {"default": "clip.%(ext)s"},
        "allowed_extractors": [visit["extractor"]],
        "noplaylist": True,
        "download_ranges": download_range_func([], section),
        "force_keyframes_at_cuts": True,
        "external_downloader_args": {"ffmpeg_i": reading, "ffmpeg_o": list(_ENCODING)},
        "fixup": "never",
        "socket_timeout": visit["stall_s"],
        "cookiefile": visit["cookies"],
        "cachedir": visit["cache"],
        # Tries are counted and spaced by who asked.
        "retries": 0,
        "extractor_retries": 0,
        "fragment_retries": 0,
        "file_access_retries": 0,
    }


def read_limit(bytes_per_s: float, formats: Sequence[Mapping[str, Any]]) -> list[str]:
    """ffmpeg's options that read the formats, together, at so many bytes a second; 0 is no limit.

    ffmpeg limits the pace of the clip's time, so a format without a bit rate is not held back.
    """
    kbit_per_s = sum(part.get("tbr") or 0.0 for part in formats)
    if not bytes_per_s or not kbit_per_s:
        return []
    return ["-readrate", f"{max(0.001, bytes_per_s * 8e-3 / kbit_per_s):.3f}"]


def _download(visit: dict[str, Any]) -> dict[str, Any]:
    from yt_dlp import YoutubeDL  # type: ignore[import-untyped]

    class Paced(YoutubeDL):  # type: ignore[misc]
        """Reads no faster than the limit: ffmpeg, which reads sections, knows no limit in bytes."""

        def process_info(self, info: dict[str, Any]) -> None:
            chosen = info.get("requested_formats") or [info]
            if options := read_limit(visit["bytes_per_s"], chosen):
                for part in (info, *chosen):
                    part["downloader_options"] = {"ffmpeg_args": options}
            super().process_info(info)

    with Paced(_options(visit)) as downloader:
        info = downloader.extract_info(visit["url"], download=True)
    files = [part.get("filepath") for part in info.get("requested_downloads") or ()]
    return {"file": files[0] if files else None, "duration_s": info.get("duration")}


def _fault(error: BaseException) -> dict[str, Any]:
    """What went wrong, and the status and Retry-After of the answer that did it."""
    report: dict[str, Any] = {"error": type(error).__name__, "message": str(error)}
    chain = [error]
    for found in chain:
        inner = getattr(found, "exc_info", None) or (None, None)
        for next_one in (getattr(found, "cause", None), inner[1], found.__cause__):
            if isinstance(next_one, BaseException) and next_one not in chain:
                chain.append(next_one)
    report["causes"] = [type(found).__name__ for found in chain]
    for found in chain:
        response = getattr(found, "response", None)
        if isinstance(getattr(found, "status", None), int):
            report["status"] = found.status  # type: ignore[attr-defined]
            report["retry_after"] = response.headers.get("Retry-After") if response else None
    return report


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(sys.stdin.fileno(), 1)):
        line += byte
    return line


def _end_with_the_asker(folder: str) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    group = os.getpgrp()
    if not os.fork():
        # It outlives the group, so that nobody writes again what it has tidied up.
        os.setsid()
        os.killpg(group, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)


def _bound(seconds: float) -> None:
    for which, bound in (
        (resource.RLIMIT_FSIZE, _FILE_BYTES),
        (resource.RLIMIT_AS, _MEMORY_BYTES),
        (resource.RLIMIT_CPU, int(seconds) + 5),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(which, (bound, bound))


def main() -> None:
    """Make the visit that stdin asks for."""
    # What yt-dlp and ffmpeg print goes to stderr; they do not inherit the pipe of the report.
    reply = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    visit = json.loads(_first_line())
    threading.Thread(target=_end_with_the_asker, args=(visit["folder"],), daemon=True).start()
    _bound(visit["timeout_s"])
    try:
        report = _download(visit)
    except Exception as error:
        report = _fault(error)
    os.write(reply, (json.dumps(report, default=str) + "\n").encode())
    # The other thread is still reading: an orderly end would wait for it.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
