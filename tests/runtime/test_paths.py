"""Paths of params.yaml: the same file from the project, and from a copy that DVC made of it."""

from pathlib import Path

import pytest

from mmlib.runtime.paths import full_path, is_copy, project


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, which DVC calls its root, as the working folder."""
    folder = tmp_path / "my project"
    copied = folder / ".dvc/tmp/exps/standalone/tmp1"
    copied.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


@pytest.mark.parametrize("below", [".", ".dvc/tmp/exps/standalone/tmp1"])
def test_a_path_means_the_same_in_a_copy(
    here: Path, below: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here / below)
    assert full_path("my/clips") == here / "my/clips"
    assert full_path("/my/clips") == Path("/my/clips")
    assert full_path("~/clips") == here.parent / "home/clips"
    assert full_path("~no such user/clips") == here / "~no such user/clips"
    assert is_copy(Path.cwd(), project()) == (below != ".")


def test_dvc_s_own_folder_may_lie_on_another_disk(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / ".dvc/tmp").rename(tmp_path / "scratch")
    (here / ".dvc/tmp").symlink_to(tmp_path / "scratch")
    monkeypatch.chdir(here / ".dvc/tmp/exps/standalone/tmp1")
    assert full_path("clips") == here / "clips"


def test_another_project_s_root_is_none_of_ours(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "other"))
    assert full_path("clips") == here / "clips"
    monkeypatch.delenv("DVC_ROOT")
    assert full_path("clips") == here / "clips"
