"""A Ray cluster for the length of a job, and a command on it (docs/scaling.md).

`srun --ntasks-per-node=1 python -m tools.ray_cluster dvc repro attack@mid` starts Ray on every
machine of the job. The first one is the head: it runs the command with MMLIB_EXECUTOR=ray, and all
end with it. They meet by a file in the project's folder. Machines may join late, or leave. Ray
serves only those who have the cluster's token, which lies beside that file and which none but the
user may read; where RAY_AUTH_MODE is set, as that says.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from mmlib.runtime import stage
from mmlib.runtime.errors import UserError
from mmlib.runtime.ray_start import package
from mmlib.runtime.scratch import publish_text
from mmlib.runtime.shares import launched
from mmlib.runtime.workers import worker_count

_ENDED = "ended"
_POLL_S = 1.0
_PATIENCE_S = 3600.0
"""How long the others wait for the first process, which a scheduler may start much later."""


def main(command: list[str]) -> int:
    """Exit status of the command in the first process, 0 in the others."""
    if not command:
        raise UserError("usage: python -m tools.ray_cluster COMMAND [ARGUMENT ...]")
    own = launched()
    meeting = Path("scratch/.ranks", f"ray-{own.launch or 'cluster'}")
    token = meeting.with_name(f"{meeting.name}.token").absolute()
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    if own.place:
        _join(meeting, only_one=bool(own.launch))
        return 0
    try:
        return _lead(meeting, token, command, only_one=bool(own.launch))
    finally:
        token.unlink(missing_ok=True)


def _ray_start() -> list[str]:
    """The command by which every machine starts Ray; UserError where it cannot."""
    package()
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
    # What workers print is not shown (see ray_start), so nobody need gather it.
    start += ["--disable-usage-stats", "--include-log-monitor=false"]
    return [*start, f"--num-cpus={worker_count()}"]


def _write_token(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32), encoding="utf-8")


def _lead(meeting: Path, token: Path, command: list[str], *, only_one: bool) -> int:
    head: subprocess.Popen[bytes] | None = None
    try:
        _write_token(token)
        start = _ray_start()
        with socket.create_server(("", 0)) as free:
            port = free.getsockname()[1]
        address = f"{package().util.get_node_ip_address()}:{port}"
        head = subprocess.Popen([*start, "--head", f"--port={port}", "--include-dashboard=false"])
        publish_text(address, meeting)
        cluster = {"MMLIB_EXECUTOR": "ray", "RAY_ADDRESS": address}
        return _run(command, {**os.environ, **cluster})
    finally:
        # Whatever has gone wrong, the others must not wait for an address.
        if only_one:
            publish_text(_ENDED, meeting)
        else:  # those of the next cluster look here too
            meeting.unlink(missing_ok=True)
        if head:
            head.terminate()
            head.wait()


def _run(command: list[str], environment: dict[str, str]) -> int:
    try:
        return subprocess.call(command, env=environment)
    except OSError as error:
        raise UserError(f"{command[0]}: cannot be run ({error.strerror})") from None


def _join(meeting: Path, *, only_one: bool) -> None:
    """Be a node of the cluster until it ends; UserError where its first process never comes.

    `only_one`: no other cluster ever meets here, so that a node that ends by itself ends this one.
    Else the address may have been that of one that was killed, and another may follow.
    """
    node: subprocess.Popen[bytes] | None = None
    joined, since = "", time.monotonic()
    try:
        while (said := _said(meeting)) != _ENDED and not (node and not said):
            if node and node.poll() is not None:
                # What it ends with is said before Ray is ended.
                if only_one or not _said(meeting):
                    return
                node, since = None, time.monotonic()
            if node is None and said not in ("", joined):
                node, joined = subprocess.Popen([*_ray_start(), f"--address={said}"]), said
            if node is None and time.monotonic() - since > _PATIENCE_S:
                raise UserError(
                    f"{meeting}: no word of the cluster's first process for "
                    f"{_PATIENCE_S / 60:.0f} minutes; does it run, in a folder that all see?"
                )
            time.sleep(_POLL_S)
    finally:
        if node:
            node.terminate()
            node.wait()


def _said(meeting: Path) -> str:
    """What the first process has last said; nothing before it begins, or after its end."""
    try:
        return meeting.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    # Ended from outside, it ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    stage.run(lambda command: sys.exit(main(command)), check=False)
