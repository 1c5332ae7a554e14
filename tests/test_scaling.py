"""The files for SLURM in docs/scaling.md do what the page says, against a stand-in for SLURM."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import slurm
from tests.conftest import ROOT
from tests.kills import STAGES, run_stage
from tests.samples import small_rows, write_folder
from tests.shared_stages import outs

PAGE = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
FILES = {
    re.search(r"--job-name=(\w+)", text)[1]: text  # type: ignore[index]
    for text in re.findall(r"```bash\n(#!.*?)```", PAGE, re.S)
}
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
exec {python} -m tests.slurm srun 2 "$@"
"""
# What `dvc repro decode` runs, and of `dvc commit` that it was called.
DVC = """#!/bin/bash
echo "dvc $*" >> dvc.log
[[ $1 == commit ]] || DVC_STAGE=$2 {python} -m stages.$2
"""
PYTHON = """#!/bin/bash
exec {python} "$@"
"""
STAGE = """
import sys
from pathlib import Path
from mmlib.runtime import stage
from tests.kills import run_stage
if __name__ == "__main__":
    stage.run(lambda _: run_stage({out!r}, Path("in"), Path()), check=False)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which `srun`, `dvc` and two stages are stand-ins: decode, and shard as attack."""
    write_folder(tmp_path / "in", small_rows(2, 1, 1))
    for name, text in (("srun", SRUN), ("dvc", DVC), ("python", PYTHON)):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.format(python=sys.executable))
        path.chmod(0o755)
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/__init__.py").touch()
    for name, out in (("decode", "decoded"), ("attack", "shards")):
        path = tmp_path / "stages" / f"{name}.py"
        path.write_text(STAGE.format(out=out))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{Path('/usr/bin')}:{Path('/bin')}")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(name: str, variables: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-e", "-c", FILES[name]],
        env=slurm.environment(variables), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_every_way_has_its_file() -> None:
    assert set(FILES) >= {"decode", "attack", "pipeline"}
    assert all(text.count("#SBATCH") for text in FILES.values())


def test_cores_are_said_to_srun_too_which_does_not_take_them_over_from_sbatch() -> None:
    started = [line for text in FILES.values() for line in text.splitlines() if "srun " in line]
    assert len(started) == 3
    assert all('srun --cpus-per-task="$SLURM_CPUS_PER_TASK" ' in line for line in started)


@pytest.mark.slow
def test_the_array_and_the_processes_side_by_side(project: Path) -> None:
    whole = project / "whole"
    for stage in STAGES:
        run_stage(stage, project / "in", whole)
    shutil.copytree(whole / "clips", project / "clips")
    for place in (1, 0):
        said = run("decode", slurm.task(place, 2, first=3))
    assert "all are there" in said
    assert not (project / "decoded").exists()
    subprocess.run(["dvc", "repro", "decode"], env=slurm.environment(slurm.script(2)), check=True)
    run("attack", slurm.script(2))
    assert outs(project) == outs(whole)
    log = (project / "dvc.log").read_text().splitlines()
    assert log == ["dvc repro decode", "dvc commit --force attack@mid"]
