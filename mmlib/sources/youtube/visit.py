"""One try at one section: a child process, watched and ended with all that it started."""

import contextlib
import importlib.util
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from mmlib.media import ffmpeg
from mmlib.media.ffmpeg import MediaError
from mmlib.media.length import measure
from mmlib.runtime.errors import UserError
from mmlib.sources.youtube.outcomes import Failure, broken_off, classify
from mmlib.sources.youtube.pacing import Pacing

_LOG_BYTES = 1 << 16
# Lengths in headers and of videos are rounded; sound comes in blocks.
_TOLERANCE_S = 1.0


@dataclass(frozen=True)
class Section:
    """What to get: seconds `start_s` .. `end_s` of the video at `url`, as yt-dlp's `extractor` sees
    it, with pictures of at most `height` pixels on the shorter side."""

    url: str
    extractor: str
    start_s: float
    end_s: float
    height: int


def require_yt_dlp() -> None:
    """UserError when yt-dlp is not installed."""
    if importlib.util.find_spec("yt_dlp") is None:
        raise UserError("fetching videos needs yt-dlp: pip install '.[youtube]'")


def visit(section: Section, pacing: Pacing, folder: Path, cache: Path) -> Path | Failure:
    """Fetch the section into the empty `folder`: a file of just these seconds, or why not.

    `cache` is where yt-dlp keeps what it learnt about the site. Nothing is left running.
    """
    (folder / "bin").mkdir()
    # yt-dlp looks for a program of this name; the bundled one has another.
    (folder / "bin" / "ffmpeg").symlink_to(ffmpeg.binary())
    asked = {
        **vars(section),
        "folder": str(folder.absolute()),
        "cache": str(cache.absolute()),
        "cookies": _cookies(pacing, folder),
        "stall_s": pacing.stall_s,
        "timeout_s": pacing.timeout_s,
        "bytes_per_s": pacing.bytes_per_s,
    }
    with TemporaryFile() as log_file:
        reply = _converse(asked, pacing.timeout_s, folder, log_file.fileno())
        log_file.seek(max(0, log_file.seek(0, os.SEEK_END) - _LOG_BYTES))
        log = log_file.read().decode("utf-8", "replace")
    if reply is None:
        return Failure("timeout", f"not done after {pacing.timeout_s:g} s")
    if not reply:
        return Failure("crashed", f"yt-dlp ended without a word: {log.strip()[-200:]}")
    report: dict[str, Any] = json.loads(reply)
    return classify(report, log) if "error" in report else _checked(report, section, log)


def _cookies(pacing: Pacing, folder: Path) -> str | None:
    if not pacing.cookies:
        return None
    # yt-dlp writes the file anew at the end: several at once would spoil it.
    copied = folder / "cookies.txt"
    copied.touch(mode=0o600)
    copied.write_bytes(Path(pacing.cookies).read_bytes())
    return str(copied.absolute())


def _converse(asked: dict[str, Any], timeout_s: float, folder: Path, log: int) -> bytes | None:
    """The child's report, empty when it died; None when it took too long."""
    environment = os.environ | {"PATH": f"{folder.absolute() / 'bin'}:{os.environ.get('PATH', '')}"}
    deadline = time.monotonic() + timeout_s
    with subprocess.Popen(
        [sys.executable, "-m", "mmlib.sources.youtube.child"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
        env=environment, start_new_session=True,
    ) as child:  # fmt: skip
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(json.dumps(asked).encode() + b"\n")
                child.stdin.flush()
            return _read_all(child.stdout.fileno(), deadline)
        finally:
            # Before the child is waited for: until then its number, the group's, is its own.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


def _read_all(pipe: int, deadline: float) -> bytes | None:
    found = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                return None
            chunk = os.read(pipe, _LOG_BYTES)
            if not chunk:
                return found
            found += chunk


def _checked(report: dict[str, Any], section: Section, log: str) -> Path | Failure:
    """The file, if it is as long as it should be: ffmpeg takes a broken input for a short one."""
    if failure := broken_off(log):
        return failure
    whole_s = report.get("duration_s")
    due = (min(section.end_s, whole_s) if whole_s else section.end_s) - section.start_s
    file = Path(report["file"]) if report.get("file") else None
    length_s = _length_s(file, max(0.0, due) + 2 * _TOLERANCE_S) if file else None
    if due <= 0 or length_s == 0:
        length = f"the video ends at {whole_s:g} s" if whole_s else "the video ends before"
        return Failure("no_section", f"no second {section.start_s:g}: {length}")
    if file is None or length_s is None:
        return Failure("empty", "nothing was written")
    if length_s > due + _TOLERANCE_S:
        return Failure("not_cut", f"at least {length_s:g} s came instead of {due:g} s")
    if whole_s and length_s < due - _TOLERANCE_S:
        return Failure("truncated", f"only {length_s:g} of {due:g} s came")
    return file


def _length_s(file: Path, most_s: float) -> float:
    """Length of a file by its packets, or at least `most_s`; 0 when nothing can be read of it."""
    try:
        return measure(file, most_s, ffmpeg.Limits())
    except MediaError:
        return 0.0


def empty_folder(parent: Path, name: str, older_than_s: float) -> Path:
    """A new folder of its own in `parent`; what killed processes left there long ago is removed."""
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > older_than_s:
                shutil.rmtree(left, ignore_errors=True)
    folder = parent / f"{name}.{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
