"""AudioSet in small, from a mirror with holes to training shards."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mmlib.media.encode import encode
from mmlib.media.ffmpeg import Limits
from mmlib.media.graph import Form
from mmlib.params.shard import Shard
from mmlib.params.whole.file import load
from mmlib.shards.decode import decode_clips
from mmlib.shards.make.shard import make_shards
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.rows.tally import Ledger
from mmlib.sources import audioset
from mmlib.sources.base import ClipList
from mmlib.sources.columns import columns_of
from mmlib.sources.download import download
from tests.conftest import ROOT
from tests.samples import numbered, tone
from tests.sources.video_lists import IDS, MIDS, NAMES, data_params, line, write_lists
from tools.planning import (
    Rates,
    availability,
    plan,
)

CLIPS = 9


def mirror(folder: Path) -> Path:
    """Sections of 1 s of two thirds of the clips; whole videos of 4 s of two eval clips."""
    folder.mkdir()
    for number in range(CLIPS):
        if number % 3:
            section = encode(numbered(8), tone(1.0, 200.0 + 50 * number), fps=8.0)
            (folder / f"train{number:06d}_{number}_{number + 1}.mp4").write_bytes(section)
    for number, video in enumerate(IDS[:2]):
        whole = encode(numbered(32), tone(4.0, 1000.0 + 100 * number), fps=8.0)
        (folder / f"{video}.mp4").write_bytes(whole)
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipList:
    """9 training and 3 eval clips of 1 s; the mirror lacks 3 and 1 of them."""
    root = tmp_path_factory.mktemp("audioset")
    train = "".join(line(f"train{n:06d}", n, n + 1, MIDS[n % 2], MIDS[1]) for n in range(CLIPS))
    evaluation = "".join(line(video, 2, 3, *MIDS[:2]) for video in IDS)
    path = write_lists(root / "lists", train, evaluation)
    data = data_params("audioset", path, mirror=str(mirror(root / "mirror")))
    return audioset.clip_list(data.model_copy(update={"val_share": 0.3}), 0)


def shard_settings() -> Shard:
    """The project's own, for clips of 1 s; the class that no clip has leaves the list."""
    values = load(ROOT / "params.yaml").shard.model_dump()
    values["mel"]["frames"] = None
    return Shard.model_validate(values | {"seconds": 1.0, "untrained_classes": "drop"})


def run(clips: ClipList, tmp_path: Path) -> Ledger:
    """Stages download, decode and shard; the ledger of the first."""
    scratch = tmp_path / "scratch"
    ledger = download(
        clips,
        tmp_path / "clips",
        shard_clips=4,
        max_failed_share=0.4,
        absent_classes="drop",
        scratch_root=scratch,
    )
    form = Form(sample_rate_hz=16000, fps=4.0, size=40)
    decode_clips(
        tmp_path / "clips",
        tmp_path / "decoded",
        form,
        Limits(),
        max_failed_share=0.0,
        scratch_root=scratch,
    )
    make_shards(tmp_path / "decoded", tmp_path / "shards", shard_settings(), scratch_root=scratch)
    return ledger


def test_from_the_mirror_to_shards(clips: ClipList, tmp_path: Path) -> None:
    ledger = run(clips, tmp_path)
    assert ledger.rows == {"train": 7, "val": 2, "eval": 3}
    assert ledger.failures == {"not_in_mirror": 4}
    made = tmp_path / "shards"
    manifest = json.loads((made / "manifest.json").read_text(encoding="utf-8"))
    # A name with a comma, and without the class that only the list of names has.
    assert manifest["classes"] == list(NAMES[:2])
    counts = {split: manifest["clips"][split]["count"] for split in ("train", "val", "eval")}
    assert sum(counts.values()) == 8
    assert counts["eval"] == 2
    evaluation = ShardSet(made, "eval")
    batch = evaluation.gather(np.arange(2))
    assert list(batch.clip_ids) == [f"{video}_2000_3000" for video in IDS[:2]]
    assert batch.labels.tolist() == [[1.0, 1.0]] * 2
    # Second 2 to 3 of the whole video: 1 s of tone, so no silent frame but the very edges.
    assert (batch.inputs["audio"].amax(-1)[:, 1:-1] > 0.5).all()
    with (made / "leaks.csv").open(newline="", encoding="utf-8") as stream:
        assert all(None not in row for row in csv.DictReader(stream))


def test_the_plan_comes_true(clips: ClipList, tmp_path: Path) -> None:
    run(clips, tmp_path)
    columns = columns_of(clips.requests, clips.classes)
    there, _ = availability(clips, columns, 0.0, 0)
    params = load(ROOT / "params.yaml")
    data = params.data.model_copy(update={"shard_clips": 4})
    decode = params.decode.model_copy(update={"fps": 4.0})
    planned = params.model_copy(update={"data": data, "decode": decode, "shard": shard_settings()})
    # Two of the three classes are left.
    stages = plan(columns, there, 2, planned, Rates())
    for stage, folder in zip(stages, ("clips", "decoded", "shards"), strict=True):
        files = sorted((tmp_path / folder).glob("*-*.parquet"))
        assert len(files) == stage.shards, folder
    payload = sum(path.stat().st_size for path in (tmp_path / "shards").glob("*-*.parquet"))
    # Ids and footers come on top of the payloads: 10 kB a file at most.
    assert stages[2].bytes_most <= payload <= stages[2].bytes_most + 10_000 * stages[2].shards
    decoded = sum(path.stat().st_size for path in (tmp_path / "decoded").glob("*-*.parquet"))
    assert decoded <= stages[1].bytes_most + 10_000 * stages[1].shards
