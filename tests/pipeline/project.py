"""A throw-away copy of the project in which DVC really runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tools import profiles

STAGE_TIMEOUT_S = 1800
RESULTS = ("dvc.lock", "metrics/", "plots/")
"""What a run of the pipeline writes beside the code; a copy starts without it."""


class Project:
    """A git repository of the working tree's files, committed, with the params of a profile."""

    def __init__(self, folder: Path, profile: str = "tiny") -> None:
        self.folder = folder
        listed = _output(["git", "ls-files", "-co", "--exclude-standard", "-z"], ROOT).split("\0")
        for name in filter(None, listed):
            source = ROOT / name
            if source.is_file() and not name.startswith(RESULTS):
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        profiles.apply(profile, folder / "profiles", folder / "params.yaml")
        for command in (["git", "init", "-q"], ["git", "add", "-A"]):
            _output(command, folder)
        self.commit("start")

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
        _output(["git", *identity, "add", "-A"], self.folder)
        _output(["git", *identity, "commit", "-q", "--allow-empty", "-m", message], self.folder)

    def command(self, *arguments: str) -> list[str]:
        """The command line of `dvc` in this interpreter's environment."""
        return [sys.executable, "-m", "dvc", *arguments]

    def environment(self, **extra: str) -> dict[str, str]:
        """The environment that stages run in: this interpreter first, a git identity set."""
        bin_folder = str(Path(sys.executable).parent)
        return {
            **os.environ,
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder),
            # Projects share the machine here, and torch's threads that wait for each other do not
            # share well: with two threads a stage may take ten times as long.
            "OMP_NUM_THREADS": "1",
            "GIT_AUTHOR_NAME": "test",
            "GIT_AUTHOR_EMAIL": "test@example.invalid",
            "GIT_COMMITTER_NAME": "test",
            "GIT_COMMITTER_EMAIL": "test@example.invalid",
            **extra,
        }

    def dvc(self, *arguments: str, **extra: str) -> str:
        """Run dvc and return what it printed; an error shows the end of its output."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(**extra),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STAGE_TIMEOUT_S,
            check=False,
        )
        tail = done.stdout[-3000:]
        assert done.returncode == 0, f"dvc {' '.join(arguments)} failed:\n{tail}"
        return done.stdout

    def metrics(self) -> dict[str, str]:
        """The text of every metrics file that must not differ between equal runs."""
        root = self.folder / "metrics"
        return {
            str(path.relative_to(root)): path.read_text(encoding="utf-8")
            for path in sorted(root.rglob("*"))
            if path.suffix in {".json", ".csv"} and path.parent.name != "costs"
        }


def _output(command: list[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
