"""The ffmpeg process: which binary, how it is fed, watched, limited and ended.

The binary comes with the imageio-ffmpeg wheel, so that every machine decodes with the same program;
MMLIB_FFMPEG names another one. Nothing passes through a shell, and file names are never options:
see `files.url`.
"""

import contextlib
import math
import multiprocessing
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import imageio_ffmpeg

from mmlib.runtime.errors import UserError
from mmlib.runtime.paths import full_path

if sys.platform != "win32":
    import resource

# The first with an option that tells the time of each frame (-stats_enc_pre).
_OLDEST = 6
_READ_BYTES = 1 << 16
_LINE_BYTES = 1 << 16
_LOG = ("-nostdin", "-hide_banner", "-nostats", "-loglevel", "repeat+level+info")
GLOBAL_ARGUMENTS = (*_LOG, "-filter_threads", "1")
# Every message keeps its colour, by which `log.Log` tells errors from what other threads write into
# the same line. TERM chooses between two sets of colours.
_ENVIRONMENT = {"AV_LOG_FORCE_COLOR": "1", "TERM": "dumb"}
# Computing time is what a clip costs; waiting for a busy machine is not, up to so many times that.
_PATIENCE = 10
_UNSET = ("AV_LOG_FORCE_NOCOLOR", "AV_LOG_FORCE_256COLOR", "FFREPORT")


class MediaError(Exception):
    """A media file that is refused or cannot be decoded; `kind` is the class it is counted by."""

    def __init__(self, kind: str, message: str) -> None:
        # Both go to Exception, so that the error survives pickling between processes.
        super().__init__(kind, message)
        self.kind = kind
        self.message = " ".join(message.split())

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


@dataclass(frozen=True)
class Limits:
    """What one clip may cost: picture size, clip length, computing time and address space."""

    max_pixels: int = 8847360
    max_seconds: float = 60.0
    timeout_s: float = 60.0
    memory_mb: int = 1500


@cache
def binary() -> str:
    """Absolute path of the ffmpeg program; UserError when there is none that will do."""
    if sys.platform == "win32":
        raise UserError("media are read on Linux and macOS only: on Windows, run this inside WSL")
    name = os.environ.get("MMLIB_FFMPEG")
    if not name:
        try:
            return str(imageio_ffmpeg.get_ffmpeg_exe())
        except RuntimeError:
            raise UserError(
                "imageio-ffmpeg has no ffmpeg for this machine: install one and set MMLIB_FFMPEG"
            ) from None
    path = shutil.which(full_path(name) if "/" in name else name)
    if path is None:
        raise UserError(f"MMLIB_FFMPEG is {name!r}: no such program; unset it or mend it")
    found = _version(path)
    if found.split(".")[0].isdecimal() and int(found.split(".")[0]) < _OLDEST:
        raise UserError(f"MMLIB_FFMPEG is version {found}: {_OLDEST}.0 or later is needed")
    return str(Path(path).absolute())


@cache
def version() -> str:
    """Version of the program, such as "9.0.2": decoders differ, so it is a part of the result."""
    return _version(binary())


def _version(path: str) -> str:
    try:
        text = subprocess.run([path, "-version"], capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"{path} does not run ({error}): unset MMLIB_FFMPEG or mend it") from None
    match = re.match(r"ffmpeg version n?([\w.]+)", text)
    return match[1] if match else "unknown"


def run(
    command: Sequence[str],
    *,
    limits: Limits,
    inherited: Sequence[int] = (),
    output_bytes: int | None = None,
    on_line: Callable[[str], None] = lambda line: None,
) -> int:
    """Run ffmpeg to its end and return its exit status (negative: the signal that ended it).

    It may use the open files `inherited`, each from its beginning, where they also stand
    afterwards. `on_line` sees each line of its log as it comes, and may raise to end the process.
    MediaError "timeout" after `limits.timeout_s` of computing, or ten times that by the clock;
    where the system can, memory is bounded by `limits.memory_mb` of address space (ffmpeg then
    complains and ends), and each file written by `output_bytes` (MediaError "too_long").
    """
    environment = {k: v for k, v in os.environ.items() if k not in _UNSET} | _ENVIRONMENT
    deadline = time.monotonic() + _PATIENCE * limits.timeout_s
    _rewind(inherited)
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        pass_fds=inherited, env=environment,
    ) as process:  # fmt: skip
        try:
            _limit(process.pid, limits, output_bytes)
            _watch(process, _Lines(on_line), deadline)
            _await_end(process, deadline)
            status = process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise MediaError("timeout", _not_done(limits)) from None
        finally:
            process.kill()
    _rewind(inherited)
    if status == -signal.SIGXCPU:
        raise MediaError("timeout", _not_done(limits))
    if status == -signal.SIGXFSZ:
        raise MediaError("too_long", f"it decodes to more than {output_bytes} bytes")
    return status


def _rewind(files: Sequence[int]) -> None:
    # On Linux /dev/fd opens a file anew; on macOS it shares the place up to which it has been read.
    for file in files:
        os.lseek(file, 0, os.SEEK_SET)


def _not_done(limits: Limits) -> str:
    return f"not done after {limits.timeout_s:g} s of computing"


def _limit(pid: int, limits: Limits, output_bytes: int | None) -> None:
    # From outside, after the start: a preexec_fn would fork this whole (large) process, and may
    # deadlock next to threads. The CPU limit ends a decoder whose parent was killed.
    # macOS has no prlimit: there only the clock bounds a decoder.
    if sys.platform == "win32" or not hasattr(resource, "prlimit"):
        return
    bounds = {
        resource.RLIMIT_AS: limits.memory_mb << 20,
        resource.RLIMIT_CPU: math.ceil(limits.timeout_s),
        resource.RLIMIT_CORE: 0,
    }
    if output_bytes is not None:
        bounds[resource.RLIMIT_FSIZE] = output_bytes
    # One that has ended already needs no limits.
    with contextlib.suppress(ProcessLookupError):
        for which, bound in bounds.items():
            resource.prlimit(pid, which, (bound, bound))
        if (core := _own_core()) is not None:
            os.sched_setaffinity(pid, {core})


@cache
def _own_core() -> int | None:
    # ffmpeg's threads hand each frame on to one another: across cores that costs 15 % more than on
    # one. In a pool every worker has a core of its own; alone, the threads may spread.
    place = multiprocessing.current_process()._identity
    if not place or not hasattr(os, "sched_getaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    return cores[place[-1] % len(cores)]


def _await_end(process: subprocess.Popen[bytes], deadline: float) -> None:
    # Popen.wait with a timeout sleeps in growing steps: 3 % of what a short clip takes. Where the
    # system tells of a process's end, it is waited for.
    if sys.platform != "linux":
        return
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:  # an older kernel, or a sandbox without the call
        return
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(handle, selectors.EVENT_READ)
            selector.select(max(0.0, deadline - time.monotonic()))
    finally:
        os.close(handle)


def _watch(process: subprocess.Popen[bytes], lines: "_Lines", deadline: float) -> None:
    assert process.stderr is not None
    log = process.stderr.fileno()
    with selectors.DefaultSelector() as selector:
        selector.register(log, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise subprocess.TimeoutExpired(process.args, 0)
            chunk = os.read(log, _READ_BYTES)
            lines.take(chunk)
            if not chunk:
                return


class _Lines:
    """Cuts a stream of bytes into lines; a line without end is cut too, so memory stays bounded."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.rest = b""
        self.on_line = on_line

    def take(self, chunk: bytes) -> None:
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        if not chunk or len(self.rest) > _LINE_BYTES:
            lines.append(self.rest)
            self.rest = b""
        for line in lines:
            self.on_line(line.decode("utf-8", "replace"))
