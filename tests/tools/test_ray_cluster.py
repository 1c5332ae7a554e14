"""The launcher of a Ray cluster within a job: who starts what, and that all end together.

A stand-in takes Ray's place: it notes how it was started and waits to be ended.
"""

import importlib.util
import signal
import sys
from pathlib import Path

import pytest

from mmlib.runtime.errors import UserError
from tests import slurm
from tests.conftest import ROOT
from tests.moments import wait_until
from tools import ray_cluster

RAY = """
import os, signal, sys
from pathlib import Path
own = Path("head" if "--head" in sys.argv else "node")
token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
own.with_suffix(".token").write_text(f"{token.stat().st_mode & 0o77} {token.read_text()}")
own.write_text(" ".join(sys.argv[1:]))
signal.pause()
"""
WITHOUT_RAY = {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
# No cluster is at the address of one that was killed.
DEAD = """
import sys
from pathlib import Path
if "--address=10.0.0.7:1" in sys.argv:
    Path("tried").touch()
    sys.exit(1)
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


def test_variables_that_stages_take_for_ray_do_not_make_every_process_the_first(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = slurm.step(1, 2) | {"MMLIB_EXECUTOR": "ray"}
    node = slurm.start(command("exit 0"), second, project)
    first = slurm.start(command(COMMAND), slurm.step(0, 2) | {"MMLIB_EXECUTOR": "ray"}, project)
    said = first.communicate()[1], node.communicate()[1]
    assert (first.returncode, node.returncode) == (3, 0), said
    assert "--head" in (project / "head").read_text()


@pytest.mark.parametrize(
    ("variables", "words", "line"),
    [
        ({"MMLIB_WORKERS": "many"}, ["true"], "MMLIB_WORKERS is 'many': give a whole number"),
        (WITHOUT_RAY, ["true"], "the package ray is absent: pip install"),
        ({}, ["./absent", "x"], "./absent: cannot be run (No such file or directory)"),
        ({}, [], "usage: python -m tools.ray_cluster COMMAND [ARGUMENT ...]"),
    ],
)
def test_a_first_process_that_fails_says_so_in_a_line_and_keeps_nobody_waiting(
    project: Path, variables: dict[str, str], words: list[str], line: str
) -> None:
    if variables == WITHOUT_RAY and importlib.util.find_spec("ray"):
        pytest.skip("ray is there")
    launcher = [sys.executable, "-m", "tools.ray_cluster", *words]
    second = slurm.start(launcher, slurm.step(1, 2), project)
    first = slurm.start(launcher, slurm.step(0, 2) | variables, project)
    said = first.communicate()[1]
    assert first.returncode == 1
    assert said.startswith(f"ray_cluster: {line}"), said
    assert said.count("\n") == 1, said
    second.communicate()
    assert second.returncode == (0 if words else 1)


def test_where_the_launcher_names_no_start_one_cluster_may_follow_another(project: Path) -> None:
    """One that comes before the next cluster waits for it, whatever the one before has left."""
    of_two = [{"MMLIB_SHARE": f"{place}/2"} for place in range(2)]
    alone = slurm.start(command("exit 4"), of_two[0], project)
    alone.communicate()
    assert alone.returncode == 4
    meeting = project / "scratch/.ranks/ray-cluster"
    assert not meeting.exists()
    meeting.write_text("10.0.0.7:1\n")
    (project / "ray/scripts/scripts.py").write_text(DEAD + RAY)
    second = slurm.start(command("exit 0"), of_two[1], project)
    wait_until(lambda: (project / "tried").exists())
    first = slurm.start(command(COMMAND), of_two[0], project)
    said = first.communicate()[1], second.communicate()[1]
    assert (first.returncode, second.returncode) == (3, 0), said
    assert (project / "said").read_text().split()[0] in (project / "node").read_text()


def test_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "_PATIENCE_S", -1.0)
    with pytest.raises(UserError, match="no word of the cluster's first process"):
        ray_cluster._join(tmp_path / "ray-cluster", only_one=False)


def test_ended_from_outside_it_ends_what_it_started(project: Path) -> None:
    first = slurm.start(command("echo >begun; exec sleep 3600"), slurm.step(0, 2), project)
    wait_until(lambda: (project / "head").exists() and (project / "begun").exists())
    first.terminate()
    first.communicate()
    assert first.returncode == 128 + signal.SIGTERM
    assert not list((project / "scratch/.ranks").glob("*.token"))
    assert (project / "scratch/.ranks/ray-4711-0").read_text() == "ended\n"
