"""Shards are byte for byte the same in one process, in an array, and in processes side by side."""

from pathlib import Path

import pytest

from mmlib.runtime.shares import Finished
from tests import slurm
from tests.conftest import ROOT
from tests.kills import STAGES, run_stage
from tests.samples import small_rows, write_folder
from tests.shared_stages import command, outs


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("clips"), small_rows(3, 1, 1))


@pytest.fixture(scope="module")
def whole(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("whole")
    for stage in STAGES:
        run_stage(stage, clips, root)
    return outs(root)


def test_an_array_makes_the_same_bytes(
    clips: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stage shard has three steps: a task ends where others have not ended one, and is again.

    Nothing is left to do for the process that assembles.
    """
    for stage in STAGES:
        for place in (1, 0, 1, 0) if stage == "shards" else (1, 0):
            monkeypatch.setenv("MMLIB_SHARE", f"{place}/2")
            with pytest.raises(Finished) as ended:
                run_stage(stage, clips, tmp_path)
        assert "all are there; `dvc repro` assembles" in str(ended.value)
        assert not (tmp_path / stage).exists()
        monkeypatch.delenv("MMLIB_SHARE")
        made = {_file(path) for path in (tmp_path / "scratch").rglob("*-0*.parquet")}
        run_stage(stage, clips, tmp_path)
        assert {_file(path) for path in (tmp_path / stage).glob("*-0*.parquet")} <= made
    assert outs(tmp_path) == whole


def _file(path: Path) -> tuple[str, int]:
    return path.name, path.stat().st_ino


@pytest.mark.slow
def test_processes_side_by_side_make_the_same_bytes(
    clips: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    for stage in STAGES:
        ended = slurm.srun(2, command(stage, clips, tmp_path), ROOT)
        assert [status for status, _ in ended] == [0, 0], ended
    assert outs(tmp_path) == whole
    assert not [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]
