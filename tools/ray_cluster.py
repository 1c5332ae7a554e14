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

from mmlib.runtime.scratch import publish_text
from mmlib.runtime.shares import share
from mmlib.runtime.workers import worker_count

_ENDED = "ended"


def main(command: list[str]) -> int:
    """Exit status of the command in the first process, 0 in the others."""
    own = share()
    meeting = Path("scratch/.ranks", f"ray-{own.launch or 'cluster'}")
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
    # What workers print is not shown (see ray_start), so nobody need gather it.
    start += ["--disable-usage-stats", "--include-log-monitor=false"]
    start += [f"--num-cpus={worker_count()}"]
    token = meeting.with_name(f"{meeting.name}.token").absolute()
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    if own.place:
        return _join(start, meeting)
    _write_token(token)
    try:
        return _lead(start, meeting, command)
    finally:
        token.unlink(missing_ok=True)


def _write_token(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32), encoding="utf-8")


def _lead(start: list[str], meeting: Path, command: list[str]) -> int:
    import ray  # late: tests of other tools need not have it

    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    address = f"{ray.util.get_node_ip_address()}:{port}"
    head = subprocess.Popen([*start, "--head", f"--port={port}", "--include-dashboard=false"])
    try:
        publish_text(address, meeting)
        cluster = {"MMLIB_EXECUTOR": "ray", "RAY_ADDRESS": address}
        return subprocess.call(command, env={**os.environ, **cluster})
    finally:
        publish_text(_ENDED, meeting)
        head.terminate()
        head.wait()


def _join(start: list[str], meeting: Path) -> int:
    while not meeting.exists():
        time.sleep(1)
    node: subprocess.Popen[bytes] | None = None
    while (address := meeting.read_text(encoding="utf-8").strip()) != _ENDED:
        node = node or subprocess.Popen([*start, f"--address={address}"])
        if node.poll() is not None:
            break
        time.sleep(1)
    if node:
        node.terminate()
        node.wait()
    return 0


if __name__ == "__main__":
    # Ended from outside, it ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main(sys.argv[1:]))
