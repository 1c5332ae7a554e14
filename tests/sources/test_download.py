"""Download and decode: rows for all clips, resumption, refusals, and no trace of worker counts."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from mmlib.media.encode import encode
from mmlib.params.data import Data
from mmlib.runtime.errors import UserError
from mmlib.shards.decode import decode_clips
from mmlib.shards.decode_clip import decode_clip
from mmlib.shards.rows.clips import (
    DecodedClip,
    read_clips,
    read_decoded,
    read_vocabulary,
    shard_paths,
)
from mmlib.shards.rows.tally import Ledger
from mmlib.sources import download as download_module
from mmlib.sources import folder
from mmlib.sources.base import ClipList, Fetched, FetchError, Request
from mmlib.sources.columns import columns_of
from mmlib.sources.download import download
from mmlib.sources.local import take
from tests.samples import FORM, LIMITS, media, numbered, small_rows, tone, write_folder


def listed(path: Path, media: str = "copy") -> ClipList:
    """The clips of a folder."""
    data = SimpleNamespace(source="folder", path=str(path), media=media, task="single_label")
    return folder.clip_list(cast(Data, data), seed=0)


def fetched(clips: ClipList, root: Path, **changed: Any) -> Ledger:
    """Download into root/clips."""
    settings: dict[str, Any] = {"shard_clips": 2, "max_failed_share": 0.0}
    settings["scratch_root"] = root / "scratch"
    return download(clips, root / "clips", **(settings | changed))


def decoded(root: Path, **changed: Any) -> Ledger:
    """Decode root/clips into root/decoded."""
    settings: dict[str, Any] = {"max_failed_share": 0.0, "scratch_root": root / "scratch"}
    return decode_clips(root / "clips", root / "decoded", FORM, LIMITS, **(settings | changed))


def contents(directory: Path) -> dict[str, bytes]:
    """All files of a directory."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 9 clips."""
    return write_folder(tmp_path_factory.mktemp("small"), small_rows())


@pytest.mark.parametrize("media", ["copy", "in_place"])
def test_all_the_way(small: Path, tmp_path: Path, media: str) -> None:
    ledger = fetched(listed(small, media), tmp_path)
    assert ledger.usable == {"train": 5, "val": 2, "eval": 2}
    assert sorted(contents(tmp_path / "clips")) == [
        "classes.json",
        "eval-00000.parquet",
        "train-00000.parquet",
        "train-00001.parquet",
        "train-00002.parquet",
        "val-00000.parquet",
    ]
    clips = [clip for path in shard_paths(tmp_path / "clips") for clip in read_clips(path)]
    assert [clip.clip_id for clip in clips] == [row[0] for row in small_rows()]
    assert all((clip.media is None) == (media == "in_place") for clip in clips)
    assert all(clip.path is None or Path(clip.path).is_absolute() for clip in clips)
    assert len({clip.sha256 for clip in clips}) == 9
    assert read_vocabulary(tmp_path / "clips").classes == ("a", "b")

    assert decoded(tmp_path).usable == ledger.usable
    assert sorted(contents(tmp_path / "decoded")) == sorted(contents(tmp_path / "clips"))
    assert read_vocabulary(tmp_path / "decoded") == read_vocabulary(tmp_path / "clips")
    rows = [row for path in shard_paths(tmp_path / "decoded") for row in read_decoded(path)]
    for clip, row in zip(clips, rows, strict=True):
        assert (row.clip_id, row.labels, row.sha256) == (clip.clip_id, clip.labels, clip.sha256)
        _check_row(row)
    assert not list((tmp_path / "scratch").iterdir())


def _check_row(row: DecodedClip) -> None:
    assert row.status == "ok"
    assert row.message is None
    assert row.audio_present
    assert row.video_present
    assert row.frames is not None
    assert row.pcm is not None
    assert len(row.frames) == row.frame_count * row.height * row.width * 3
    assert row.frame_count == len(row.frame_times) == 2
    assert list(row.frame_times) == [0.0, 0.25]
    assert np.frombuffer(row.pcm, "<i2").std() > 1000
    assert (row.video_s, row.audio_s, row.offset_s) == (0.5, 0.5, 0.0)


def test_failures_keep_their_rows(tmp_path: Path) -> None:
    rows = small_rows(train=8)
    root = write_folder(tmp_path / "in", rows)
    (root / "train0.mp4").unlink()
    (root / "train1.mp4").write_text("not media", encoding="utf-8")
    with pytest.raises(UserError, match=r"1 of 12 .*missing_file 1.*data\.max_failed_share=0"):
        fetched(listed(root), tmp_path)
    assert not (tmp_path / "clips").exists()
    ledger = fetched(listed(root), tmp_path, max_failed_share=0.1)
    assert ledger.failures == {"missing_file": 1}
    with pytest.raises(UserError, match=r"1 of 11 .*not_media 1.*decode\.max_failed_share=0"):
        decoded(tmp_path)
    assert not (tmp_path / "decoded").exists()
    ledger = decoded(tmp_path, max_failed_share=0.1)
    assert ledger.failures == {"missing_file": 1, "not_media": 1}
    found = [row for path in shard_paths(tmp_path / "decoded") for row in read_decoded(path)]
    assert [row.clip_id for row in found] == [row[0] for row in rows]
    assert found[0].error == "missing_file"
    assert "train0.mp4" in (found[0].message or "")
    assert (found[1].status, found[1].frames, found[1].audio_present) == ("failed", None, False)


def test_missing_tracks_are_marked(tmp_path: Path, small: Path) -> None:
    fetched(listed(small), tmp_path)
    clip = next(read_clips(shard_paths(tmp_path / "clips")[0]))
    row = decode_clip(replace(clip, media=encode(numbered(4), None, fps=8.0)), FORM, LIMITS)
    assert (row.status, row.audio_present, row.video_present) == ("ok", False, True)
    assert (row.pcm, row.audio_s, row.offset_s) == (None, None, None)
    row = decode_clip(replace(clip, media=encode(None, tone(0.5))), FORM, LIMITS)
    assert (row.status, row.audio_present, row.video_present) == ("ok", True, False)
    assert (row.frames, row.frame_count, row.frame_times, row.video_s) == (None, 0, (), None)
    row = decode_clip(replace(clip, media=media()[:-600]), FORM, LIMITS)
    assert (row.message or "").startswith("damaged: ")


def _counting_fetch(request: Request) -> Fetched:
    with Path(str(request.locator["log"])).open("a", encoding="utf-8") as log:
        log.write(request.clip_id + "\n")
    if request.clip_id == request.locator["fails"] and Path(str(request.locator["trap"])).exists():
        raise RuntimeError("the machine went away")
    if request.clip_id.endswith("3"):
        raise FetchError("http_404", "gone for good", attempts=3)
    return Fetched(media=request.clip_id.encode(), attempts=2)


def _made_up(tmp_path: Path, fails: str = "") -> ClipList:
    locator = {"log": str(tmp_path / "log"), "trap": str(tmp_path / "trap"), "fails": fails}
    requests = [
        Request(f"{split}{i}", f"{split}{i}", split, (("a", "b")[i % 2],), locator=locator)
        for i in range(6)
        for split in ("train", "val", "eval")
    ]
    return ClipList("made_up", ("a", "b"), "multi_label", requests, _counting_fetch)


def test_goes_on_after_a_failure_and_gives_the_same(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for root in (whole, broken):
        root.mkdir()
    clips = _made_up(broken, fails="val4")
    fetched(clips, whole, max_failed_share=0.2)
    (broken / "log").unlink()
    (broken / "trap").touch()
    with pytest.raises(RuntimeError, match="went away"):
        fetched(clips, broken, max_failed_share=0.2)
    assert not (broken / "clips").exists()
    before = (broken / "log").read_text(encoding="utf-8").split()
    (broken / "trap").unlink()
    ledger = fetched(clips, broken, max_failed_share=0.2)
    after = (broken / "log").read_text(encoding="utf-8").split()[len(before) :]
    assert set(after) & set(before) == {"val4"}
    assert contents(broken / "clips") == contents(whole / "clips")
    assert ledger.failures == {"http_404": 3}
    rows = [row for path in shard_paths(broken / "clips") for row in read_clips(path)]
    assert {row.attempts for row in rows if row.status == "failed"} == {3}
    assert {row.attempts for row in rows if row.status == "ok"} == {2}


def test_other_lists_do_not_share_progress(tmp_path: Path) -> None:
    def key(clips: ClipList, shard_clips: int) -> str:
        columns = columns_of(clips.requests, clips.classes)
        return download_module._progress_key(clips, columns, shard_clips)

    clips = _made_up(tmp_path)
    keys = {
        key(changed, shard_clips)
        for changed, shard_clips in (
            (clips, 2),
            (clips, 3),
            (replace(clips, requests=clips.requests[1:]), 2),
            (replace(clips, requests=[replace(clips.requests[0], labels=("b",))]), 2),
            (replace(clips, fetch=_other_fetch), 2),
        )
    }
    assert len(keys) == 5
    assert key(_made_up(tmp_path), 2) in keys


def _other_fetch(request: Request) -> Fetched:
    return Fetched(media=b"")


@pytest.mark.slow
def test_worker_counts_leave_no_trace(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for workers in ("1", "3"):
        monkeypatch.setenv("MMLIB_WORKERS", workers)
        root = tmp_path / workers
        fetched(listed(small), root)
        decoded(root)
        results.append((contents(root / "clips"), contents(root / "decoded")))
    assert results[0] == results[1]


_STAGES = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {checkout!r})
from mmlib.runtime.scratch import Scratch
from tests.sources.test_download import decoded, fetched, listed

if __name__ == "__main__":
    write, left = Scratch.write, int(sys.argv[1])

    def counted(self, name, writer):
        global left
        left -= 1
        path = write(self, name, writer)
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return path

    Scratch.write = counted
    fetched(listed(Path({small!r})), Path({root!r}), shard_clips=1)
    decoded(Path({root!r}))
"""


@pytest.mark.slow
def test_killed_at_any_moment(small: Path, tmp_path: Path) -> None:
    """Kill -9 after ever other pieces; the last run's outs equal an uninterrupted run's."""
    whole, root = tmp_path / "whole", tmp_path / "killed"
    fetched(listed(small), whole, shard_clips=1)
    decoded(whole)
    script = tmp_path / "stages.py"
    checkout = str(Path(__file__).resolve().parents[2])
    script.write_text(
        _STAGES.format(checkout=checkout, small=str(small), root=str(root)), encoding="utf-8"
    )
    ends = [
        subprocess.run(
            [sys.executable, script, str(pieces)],
            env=os.environ | {"MMLIB_WORKERS": "1"},
            check=False,
        ).returncode
        for pieces in (2, 5, 1, 0)
    ]
    assert ends == [-signal.SIGKILL] * 3 + [0]
    assert contents(root / "clips") == contents(whole / "clips")
    assert contents(root / "decoded") == contents(whole / "decoded")


def test_a_full_disk_leaves_nothing_behind(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def writer(path: Path, schema: object, rows: Iterable[object], facts: object) -> None:
        path.write_bytes(b"PAR1")
        raise OSError(errno.ENOSPC, "No space left on device")

    fetched(listed(small), tmp_path)
    monkeypatch.setattr("mmlib.shards.retry.work.write_rows", writer)
    with pytest.raises(OSError, match="No space left"):
        decoded(tmp_path)
    assert not (tmp_path / "decoded").exists()
    assert not [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]


def test_unusable_lists_are_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    clips = _made_up(tmp_path)
    no_eval = [request for request in clips.requests if request.split != "eval"]
    with pytest.raises(UserError, match="split eval has no usable clip"):
        fetched(replace(clips, requests=no_eval), tmp_path)
    with pytest.raises(UserError, match="in split train: c;"):
        fetched(replace(clips, classes=("a", "b", "c")), tmp_path)
    leak = [replace(request, source_id="film") for request in clips.requests]
    with pytest.raises(UserError, match="the same recording is in two splits"):
        fetched(replace(clips, requests=leak), tmp_path)
    assert not (tmp_path / "log").exists()


def test_a_class_whose_clips_all_fail_is_named(tmp_path: Path) -> None:
    clips = _made_up(tmp_path)
    only = [
        replace(request, labels=("b",) if request.clip_id == "train3" else ("a",))
        for request in clips.requests
    ]
    ledger = fetched(replace(clips, requests=only), tmp_path, max_failed_share=0.5)
    assert "1 of 2 classes have no usable clip in split train: b" in ledger.warnings[0]


def test_sections_of_one_file(tmp_path: Path) -> None:
    root = tmp_path / "in"
    rows = [
        (f"{split}{i}", f"{split}.mp4", "ab"[i], split)
        for split in ("train", "val", "eval")
        for i in range(2)
    ]
    write_folder(root, rows)
    lines = ["clip_id,path,labels,split,start_s,end_s"]
    lines += [",".join(row) + f",{0.2 * int(row[0][-1]):g},{0.3}" for row in rows]
    (root / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    fetched(listed(root, "in_place"), tmp_path)
    decoded(tmp_path)
    found = [row for path in shard_paths(tmp_path / "decoded") for row in read_decoded(path)]
    assert [len(row.pcm or b"") // 2 for row in found] == [4800, 1600] * 3
    assert len({row.sha256 for row in found}) == 6


def test_names_that_are_not_utf_8_fail_their_clip_only(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff.mp4")
    (tmp_path / odd).write_bytes(media())
    clips = _made_up(tmp_path)
    fetch = partial(_section_fetch, path=tmp_path / odd)
    ledger = fetched(replace(clips, fetch=fetch), tmp_path, max_failed_share=0.2)
    assert ledger.failures == {"unreadable_file": 3}


def _section_fetch(request: Request, path: Path) -> Fetched:
    if request.clip_id.endswith("3"):
        return take(str(path), 0.1, 0.2, copy=True)
    return take(str(path), None, None, copy=True)
