"""A retry: only failures of the named classes are tried again, every good row stays as it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from mmlib.runtime.errors import UserError
from mmlib.shards.decode import decode_clips
from mmlib.shards.retry.plan import (
    PASSING,
    end_retry,
    find_earlier,
    link,
    plan_retry,
    read_plan,
    restore,
)
from mmlib.shards.rows.clips import (
    read_clips,
    read_decoded,
    shard_paths,
)
from mmlib.shards.rows.tally import Ledger
from mmlib.sources.base import ClipList, Fetched, FetchError, Request
from mmlib.sources.download import download
from mmlib.sources.youtube.outcomes import TRANSIENT
from tests.samples import FORM, LIMITS, media

MEDIA = media()


def _fetch(request: Request) -> Fetched:
    """Fails as the file of the clip's name in the folder says; every call leaves a mark."""
    folder = Path(str(request.locator["folder"]))
    with (folder / "calls").open("a", encoding="utf-8") as calls:
        calls.write(request.clip_id + "\n")
    trouble = folder / request.clip_id
    if trouble.exists():
        kind = trouble.read_text(encoding="utf-8")
        if kind == "not_media":
            return Fetched(media=b"not media")
        raise FetchError(kind, "as asked", attempts=2)
    return Fetched(media=MEDIA)


def listed(folder: Path, **labels: str) -> ClipList:
    """Six clips a split, in shards of three (see `run`)."""
    requests = [
        Request(
            clip_id := f"{split}{i}", clip_id, split, (labels.get(clip_id, "ab"[i % 2]),),
            locator={"folder": str(folder)},
        )
        for split in ("train", "val", "eval")
        for i in range(6)
    ]  # fmt: skip
    return ClipList("made_up", ("a", "b"), "multi_label", requests, _fetch)


def run(folder: Path, clips: ClipList | None = None, share: float = 1.0) -> Ledger:
    """Stages download and decode in the folder."""
    root = folder / "scratch"
    download(
        clips or listed(folder),
        folder / "clips",
        shard_clips=3,
        max_failed_share=share,
        scratch_root=root,
    )
    return decode_clips(
        folder / "clips", folder / "decoded", FORM, LIMITS, max_failed_share=1.0, scratch_root=root
    )


def calls(folder: Path) -> list[str]:
    """Which clips were fetched since the last look."""
    path = folder / "calls"
    found = path.read_text(encoding="utf-8").split() if path.exists() else []
    path.unlink(missing_ok=True)
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def plan(folder: Path, *errors: str) -> None:
    outs = {"clips": folder / "clips", "decoded": folder / "decoded"}
    plan_retry(folder / "scratch", errors, outs)


@pytest.fixture
def tried(tmp_path: Path) -> Path:
    """A run with failures: train1 timeout, train4 gone, eval0 not media."""
    for name, kind in (("train1", "timeout"), ("train4", "gone"), ("eval0", "not_media")):
        (tmp_path / name).write_text(kind, encoding="utf-8")
    assert run(tmp_path).failures == {"timeout": 1, "gone": 1, "not_media": 1}
    assert len(calls(tmp_path)) == 18
    return tmp_path


def test_only_the_named_classes_are_tried_again(tried: Path) -> None:
    before = contents(tried / "clips"), contents(tried / "decoded")
    plan(tried, "timeout")
    for name in ("train1", "train4"):
        (tried / name).unlink()
    assert run(tried).failures == {"gone": 1, "not_media": 1}
    assert calls(tried) == ["train1"]
    after = contents(tried / "clips"), contents(tried / "decoded")
    for old, new in zip(before, after, strict=True):
        assert {name for name in old if old[name] != new[name]} == {"train-00000.parquet"}
    rows = [list(read_clips(tried / "clips" / f"train-0000{i}.parquet")) for i in range(2)]
    assert [row.attempts for row in rows[0]] == [1, 3, 1]
    assert rows[0][0].media == rows[0][1].media == MEDIA
    assert [row.status for row in rows[1]] == ["ok", "failed", "ok"]
    decoded = list(read_decoded(tried / "decoded/train-00000.parquet"))
    assert [(row.status, row.attempts) for row in decoded] == [("ok", 1), ("ok", 3), ("ok", 1)]


def test_the_result_is_that_of_a_run_without_failures_but_for_the_attempts(
    tried: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    plan(tried, "timeout", "gone")
    for name in ("train1", "train4"):
        (tried / name).unlink()
    run(tried)
    again = [row for path in shard_paths(tried / "decoded") for row in read_decoded(path)]
    (tried / "scratch/retry/plan.json").unlink()
    run(tried)
    fresh = [row for path in shard_paths(tried / "decoded") for row in read_decoded(path)]
    assert [replace(row, attempts=1) for row in again] == fresh


def test_a_clip_that_cannot_be_decoded_is_decoded_again_without_a_fetch(tried: Path) -> None:
    plan(tried, "not_media")
    assert run(tried).failures["not_media"] == 1
    assert calls(tried) == []
    row = next(read_decoded(tried / "decoded/eval-00000.parquet"))
    assert (row.clip_id, row.status, row.attempts) == ("eval0", "failed", 2)


def test_attempts_add_up_over_retries(tried: Path) -> None:
    for expected in (4, 6):
        plan(tried, "gone")
        run(tried)
        row = list(read_clips(tried / "clips/train-00001.parquet"))[1]
        assert (row.error, row.attempts) == ("gone", expected)
        end_retry(tried / "scratch")


def test_an_interrupted_retry_goes_on_from_what_it_had_got(tried: Path) -> None:
    plan(tried, "timeout", "gone")
    (tried / "train1").unlink()
    run(tried)
    calls(tried)
    # As after a kill before the plan was ended: what was got is not asked for again.
    run(tried)
    assert calls(tried) == ["train4"]


def test_a_changed_request_is_made_anew(tried: Path) -> None:
    plan(tried, "timeout")
    (tried / "train1").unlink()
    run(tried, listed(tried, val1="a"))
    assert sorted(calls(tried)) == ["train1", "val1"]
    assert list(read_decoded(tried / "decoded/val-00000.parquet"))[1].labels == ("a",)


def test_rows_of_other_code_or_params_are_not_taken_over(
    tried: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan(tried, "timeout")
    run(tried, replace(listed(tried), source="other"))
    assert len(calls(tried)) == 18
    assert "other code or params" in capsys.readouterr().out


def test_after_too_many_failures_the_next_run_tries_them_again(tmp_path: Path) -> None:
    (tmp_path / "val2").write_text("connection", encoding="utf-8")
    (tmp_path / "val3").write_text("gone", encoding="utf-8")
    with pytest.raises(UserError, match="connection 1"):
        run(tmp_path, share=0.0)
    assert not (tmp_path / "clips").exists()
    assert len(calls(tmp_path)) == 18
    with pytest.raises(UserError, match="connection 1"):
        run(tmp_path, share=0.0)
    assert calls(tmp_path) == ["val2"]
    (tmp_path / "val2").unlink()
    # What is gone is not asked for again, unless by name.
    assert run(tmp_path, share=0.1).failures == {"gone": 1}
    assert calls(tmp_path) == ["val2"]
    assert list(read_clips(tmp_path / "clips/val-00000.parquet"))[2].attempts == 5
    assert not (tmp_path / "scratch/retry").exists()


def test_what_fetching_tries_again_at_once_a_retry_tries_too() -> None:
    assert TRANSIENT <= PASSING


def test_a_plan_counts_when_it_is_whole(tried: Path) -> None:
    root = tried / "scratch"
    assert read_plan(root) is None
    link(tried / "clips/train-00000.parquet", root / "retry/clips/train-00000.parquet")
    assert find_earlier(root, "clips", "x") is None
    plan(tried, "gone")
    found = read_plan(root)
    assert found is not None
    assert found.errors == {"gone"}
    end_retry(root)
    assert read_plan(root) is None


def test_what_a_stage_lost_is_put_back(tried: Path) -> None:
    before = contents(tried / "clips")
    plan(tried, "gone")
    for path in (tried / "clips").iterdir():
        path.unlink()
    (tried / "clips").rmdir()
    restore(tried / "scratch", "clips", tried / "clips")
    assert contents(tried / "clips") == before
