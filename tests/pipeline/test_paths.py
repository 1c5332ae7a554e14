"""Paths as people give them to DVC: in its copies of the project, and on a command line."""

import re
import shlex
import subprocess
from itertools import pairwise

import pytest
from dvc.utils.hydra import to_hydra_overrides

from mmlib.shards.rows.clips import read_clips, shard_paths
from tests.conftest import ROOT
from tests.pipeline.project import Project
from tests.samples import small_rows, write_folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny profile, with a folder of clips that git does not track."""
    made = Project(tmp_path_factory.mktemp("paths") / "project")
    write_folder(made.folder / "clips", small_rows(2, 1, 1))
    (made.folder / ".git/info/exclude").write_text("/clips\n", encoding="utf-8")
    return made


@pytest.mark.slow
def test_a_copy_of_the_project_works_on_the_same_clips(project: Project) -> None:
    values = ("source=folder", "path=clips", "watch=clips/labels.csv", "media=in_place")
    options = [word for value in values for word in ("-S", f"data.{value}")]
    assert "Running stage 'download'" in project.dvc("exp", "run", "--temp", *options, "download")
    # The same work in the project itself is known by now: every dependency is what it was there.
    assert "Running stage 'download'" not in project.dvc("exp", "run", *options, "download")
    rows = [row for p in shard_paths(project.folder / "data/clips") for row in read_clips(p)]
    assert [row.path for row in rows] == [
        str(project.folder / "clips" / name) for _, name, _, _ in small_rows(2, 1, 1)
    ]
    subprocess.run(["git", "checkout", "-q", "."], cwd=project.folder, check=True)


@pytest.mark.slow
def test_a_file_that_dvc_would_not_find_is_said_before_dvc_looks(project: Project) -> None:
    done = subprocess.run(
        project.command("exp", "run", "-S", "data.watch='~/clips/labels.csv'", "download"),
        cwd=project.folder,
        env=project.environment(HOME=str(project.folder.parent)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    said = f"data.watch is ~/clips/labels.csv: .* write {project.folder.parent}/clips/labels.csv\n"
    assert re.search(said, done.stderr)
    assert "No such file" not in done.stderr + done.stdout


def documented() -> list[str]:
    """The commands in the docs that set a param, line by line."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    lines = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line.startswith("dvc exp run") and " -S " in line]


def values(command: str) -> dict[str, object]:
    """What DVC sets for a command line: param -> value."""
    words = shlex.split(command, comments=True)
    settings = [word for option, word in pairwise(words) if option == "-S"]
    return {found.key_or_group: found.value() for found in to_hydra_overrides(settings)}


@pytest.mark.parametrize("command", documented())
def test_the_documented_commands_are_what_dvc_reads(command: str) -> None:
    assert values(command)


def test_the_documented_quoting_keeps_every_character() -> None:
    shown = [path for command in documented() if (path := values(command).get("data.path"))]
    assert {"/media/my clips (2024)/a=b", "~/clips", "/media/Jo's clips"} <= set(shown)


@pytest.mark.parametrize("name", [*' (){}[]=~,;:#&!<>|$*?%@^"é日', "null", "1e3"])
def test_what_stands_in_both_quotes_is_kept(name: str) -> None:
    path = f"/media/a{name}b{name}"
    setting = shlex.quote(f"data.path='{path}'")
    assert values(f"dvc exp run -S {setting}")["data.path"] == path
