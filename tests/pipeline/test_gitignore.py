"""What DVC caches, git ignores, by a .gitignore that does not depend on the lines that DVC adds.

DVC drops its own lines while a stage runs. Killed there, `git add metrics` would take up the outs.
"""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT
from tests.pipeline.project import Project

_STUB = """
import os, signal, sys
from pathlib import Path
interrupt = Path("interrupt")
for name in sys.argv[1:]:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(Path("params.yaml").read_text())
if interrupt.exists():
    interrupt.unlink()
    os.killpg(0, signal.SIGKILL)
"""


# Neither DVC nor git keeps it: where it is absent, as in a copy of the project, params are checked.
_UNKEPT = "data/checked.txt"


def _stages() -> dict[str, dict[str, Any]]:
    document = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    return {name: stage.get("do", stage) for name, stage in document["stages"].items()}


def _outs(stage: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Each out of a stage, and whether DVC caches it."""
    for out in [*stage.get("outs", ()), *stage.get("metrics", ())]:
        path, options = (out, {}) if isinstance(out, str) else next(iter(out.items()))
        yield path, options.get("cache", True)


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def test_git_ignores_the_cached_outs_and_no_others(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".gitignore", tmp_path)
    _git(tmp_path, "init", "-q")
    outs = {out for stage in _stages().values() for out in _outs(stage)}
    assert {cached for _, cached in outs} == {True, False}
    for path, cached in sorted(outs):
        # A row's name, which foreach puts there; what has no suffix is a folder.
        name = re.sub(r"\$\{.*?\}", "some-row", path) + ("" if Path(path).suffix else "/file")
        ignored = _git(tmp_path, "check-ignore", "-q", name).returncode == 0
        assert ignored == (cached or path == _UNKEPT), (
            f".gitignore and dvc.yaml disagree about {path}"
        )


class _Stubs(Project):
    """The stages whose cached outs lie among the metrics, each a stub that writes its outs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "stub.py").write_text(_STUB, encoding="utf-8")
        (folder / "params.yaml").write_text("steps: 1\n", encoding="utf-8")
        shutil.copy(ROOT / ".gitignore", folder)
        (folder / ".dvc").mkdir()
        for name in (".gitignore", "config"):
            shutil.copy(ROOT / ".dvc" / name, folder / ".dvc")
        stages = {
            # Stages may have outs of one pattern: the rows of each have other names.
            name: _stub(stage, f"{name}-row")
            for name, stage in _stages().items()
            if any(cached and path.startswith("metrics/") for path, cached in _outs(stage))
        }
        assert {"train", "study"} <= stages.keys()
        with (folder / "dvc.yaml").open("w", encoding="utf-8") as stream:
            YAML().dump({"stages": stages}, stream)
        for command in (["init", "-q"], ["add", "-A"]):
            assert _git(folder, *command).returncode == 0
        self.commit("start")


def _stub(stage: dict[str, Any], row: str) -> dict[str, Any]:
    named = [(path.replace("${key}", "${item}"), cached) for path, cached in _outs(stage)]
    return {
        "foreach": [row],
        "do": {
            "cmd": " ".join(["python stub.py", *(path for path, _ in named)]),
            "params": ["steps"],
            "outs": [path if cached else {path: {"cache": False}} for path, cached in named],
        },
    }


@pytest.mark.parametrize("runs_before", [0, 1])
def test_an_experiment_runs_after_an_interrupted_repro_was_committed(
    tmp_path: Path, runs_before: int
) -> None:
    project = _Stubs(tmp_path / "project")
    for _ in range(runs_before):
        project.dvc("repro")
    (project.folder / "params.yaml").write_text("steps: 2\n", encoding="utf-8")
    (project.folder / "interrupt").touch()
    ended = subprocess.run(
        project.command("repro"),
        cwd=project.folder,
        env=project.environment(),
        capture_output=True,
        start_new_session=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    written = ["dvc.lock", "metrics"] if runs_before else ["metrics"]
    assert _git(project.folder, "add", *written).returncode == 0
    project.commit("first results")
    locks = project.folder / ".dvc/tmp/rwlock"
    if not locks.stat().st_size:
        locks.unlink()  # as the Makefile does
    assert "Running stage" in project.dvc("exp", "run", "-S", "steps=3")
