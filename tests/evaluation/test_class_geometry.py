"""Stage geometry on a tiny run: blocks of classes, whoever measures them, give the same table."""

import shutil
from pathlib import Path

import pytest

from mmlib.evaluation import class_geometry
from mmlib.models import checkpoint
from mmlib.models.embed import embed_run
from mmlib.runtime.shares import Finished
from mmlib.runtime.storage import read_csv
from stages import geometry
from tests.conftest import ROOT
from tests.fake_shards import write_shards
from tests.memory_clips import MemoryClips
from tests.models.examples import small

OUT = Path("data/geometry/mid.csv")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    splits = {"train": MemoryClips(30), "val": MemoryClips(12, seed=1), "eval": MemoryClips(9)}
    write_shards(Path("data/shards"), splits)
    described = {"classes": splits["train"].classes, "task": splits["train"].task}
    checkpoint.save(small(), Path("data/models/mid"), described)
    embed_run(Path("data/models/mid"), Path("data/shards"), Path("data/embeddings/mid.parquet"), 8)
    return tmp_path


def test_blocks_and_shares_change_nothing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    geometry.main(["mid"])
    at_once = OUT.read_bytes()
    assert {row["embedding"] for row in read_csv(OUT)} >= {"fused", "audio", "video", "joint"}
    OUT.unlink()
    monkeypatch.setattr(class_geometry, "_BLOCK", 2)
    for place in (1, 2, 0):
        monkeypatch.setenv("MMLIB_SHARE", f"{place}/3")
        with pytest.raises(Finished):
            geometry.main(["mid"])
    assert not OUT.exists()
    monkeypatch.delenv("MMLIB_SHARE")
    monkeypatch.setattr(class_geometry, "_measure", lambda *_: pytest.fail("it was measured"))
    geometry.main(["mid"])
    assert OUT.read_bytes() == at_once
    assert not list(Path("scratch").glob("geometry-*"))
