"""The launcher of a Ray cluster within a job: who starts what, and that all end together.

A stand-in takes Ray's place: it notes how it was started and waits to be ended.
"""

import signal
import sys
from pathlib import Path

import pytest

from tests import slurm
from tests.conftest import ROOT
from tests.moments import wait_until

RAY = """
import os, signal, sys
from pathlib import Path
own = Path("head" if "--head" in sys.argv else "node")
token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
own.with_suffix(".token").write_text(f"{token.stat().st_mode & 0o77} {token.read_text()}")
own.write_text(" ".join(sys.argv[1:]))
signal.pause()
"""
# Until the node has joined; then it says what it was given, and fails.
COMMAND = """until [ -e node ]; do sleep 0.1; done
echo "$RAY_ADDRESS $MMLIB_EXECUTOR $RAY_AUTH_MODE $(cat $RAY_AUTH_TOKEN_PATH)" >said; exit 3"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ray/scripts").mkdir(parents=True)
    (tmp_path / "ray/__init__.py").write_text("from . import util")
    (tmp_path / "ray/util.py").write_text("def get_node_ip_address(): return '10.0.0.7'")
    (tmp_path / "ray/scripts/__init__.py").touch()
    (tmp_path / "ray/scripts/scripts.py").write_text(RAY)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    return tmp_path


def command(text: str) -> list[str]:
    return [sys.executable, "-m", "tools.ray_cluster", "sh", "-c", text]


def test_the_first_process_leads_the_others_join_and_all_end(project: Path) -> None:
    ended = slurm.srun(2, command(COMMAND), project)
    assert [status for status, _ in ended] == [3, 0], ended
    address, *said, token = (project / "said").read_text().split()
    assert said == ["ray", "token"]
    host, port = address.split(":")
    assert host == "10.0.0.7"
    assert f"--head --port={port} --include-dashboard=false" in (project / "head").read_text()
    assert f"--address={address}" in (project / "node").read_text()
    assert len(token) == 64
    for kind in ("head", "node"):
        assert (project / f"{kind}.token").read_text() == f"0 {token}", "and for nobody else"
    assert not list((project / "scratch/.ranks").glob("*.token"))


def test_one_that_comes_when_all_is_over_ends_too(project: Path) -> None:
    first = slurm.start(command("exit 0"), slurm.step(0, 2), project)
    first.communicate()
    assert first.returncode == 0
    late = slurm.start(command("exit 0"), slurm.step(1, 2), project)
    late.communicate()
    assert late.returncode == 0
    assert not (project / "node").exists()


def test_ended_from_outside_it_ends_what_it_started(project: Path) -> None:
    first = slurm.start(command("echo >begun; exec sleep 3600"), slurm.step(0, 2), project)
    wait_until(lambda: (project / "head").exists() and (project / "begun").exists())
    first.terminate()
    first.communicate()
    assert first.returncode == 128 + signal.SIGTERM
    assert not list((project / "scratch/.ranks").glob("*.token"))
    assert (project / "scratch/.ranks/ray-4711-0").read_text() == "ended\n"
