"""Rows survive storage; splits and leaks are checked; the ledger counts."""

import errno
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.runtime.errors import UserError
from mmlib.shards.rows.clips import (
    CLIP_SCHEMA,
    DECODED_SCHEMA,
    Clip,
    Vocabulary,
    read_clips,
    read_columns,
    read_decoded,
    read_vocabulary,
    shard_paths,
    write_rows,
    write_vocabulary,
)
from mmlib.shards.rows.splits import (
    check_splits,
    untrained_classes,
)
from mmlib.shards.rows.tally import (
    check_failures,
    read_ledger,
)
from mmlib.sources.base import Fetched, Request
from mmlib.sources.columns import check_requests, columns_of
from mmlib.sources.validation import carve_validation
from tests.decoded_shards import clip

CLIP = Clip(
    clip_id="one",
    source_id="film",
    split="train",
    labels=("a", "b"),
    start_s=1.5,
    end_s=None,
    media=b"\0media",
    path=None,
    sha256="ab" * 32,
    source="test",
    status="ok",
    error=None,
    message=None,
    attempts=2,
)
FAILED = replace(
    CLIP, media=None, sha256=None, status="failed", error="missing_file", message="no such file"
)
LIST = Vocabulary(("a", "b"), "multi_label")


def requests(*rows: tuple[str, str, str, str]) -> list[Request]:
    """Requests of (clip_id, source_id, split, labels joined by a bar)."""
    return [
        Request(clip, film, split, tuple(labels.split("|")) if labels else ())
        for clip, film, split, labels in rows
    ]


@given(st.lists(st.sampled_from([CLIP, FAILED, replace(CLIP, labels=())]), max_size=40))
def test_rows_survive(tmp_path_factory: pytest.TempPathFactory, clips: list[Clip]) -> None:
    path = tmp_path_factory.mktemp("rows") / "train-00000.parquet"
    write_rows(path, CLIP_SCHEMA, clips, {"source": "test"})
    assert list(read_clips(path)) == clips


def test_storage_is_plain_and_deterministic(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_rows(tmp_path / name, CLIP_SCHEMA, [CLIP] * 40, {"source": "test", "split": "train"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    found = pq.ParquetFile(tmp_path / "a").metadata
    assert found.num_row_groups == 3
    media = found.row_group(0).column(CLIP_SCHEMA.get_field_index("media"))
    assert media.compression == "UNCOMPRESSED"
    assert media.statistics is None
    assert found.metadata[b"mmlib"] == b'{"source": "test", "split": "train"}'


def test_large_media_get_row_groups_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmlib.shards.rows.clips._GROUP_BYTES", 10)
    write_rows(tmp_path / "a", CLIP_SCHEMA, [CLIP] * 4, {})
    assert pq.ParquetFile(tmp_path / "a").num_row_groups == 2
    assert list(read_clips(tmp_path / "a")) == [CLIP] * 4


def test_a_full_disk_is_an_os_error() -> None:
    if not Path("/dev/full").exists():
        return
    with pytest.raises(OSError, match="No space left") as caught:
        write_rows(Path("/dev/full"), CLIP_SCHEMA, [replace(CLIP, media=b"1" * 100000)], {})
    assert caught.value.errno == errno.ENOSPC


def test_unreadable_shards_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no clips in"):
        shard_paths(tmp_path)
    with pytest.raises(UserError, match="dvc repro"):
        read_vocabulary(tmp_path)
    (tmp_path / "classes.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match=r"classes\.json: cannot be read as JSON"):
        read_vocabulary(tmp_path)
    broken = tmp_path / "train-00000.parquet"
    broken.write_bytes(b"PAR1 but not really")
    with pytest.raises(UserError, match="cannot be read as a shard"):
        list(read_clips(broken))
    write_rows(broken, CLIP_SCHEMA, [CLIP], {})
    with pytest.raises(UserError, match="no column pcm"):
        list(read_columns(broken, ["pcm"]))


def test_shards_come_in_the_order_of_splits(tmp_path: Path) -> None:
    names = [
        f"{split}-{number:05d}.parquet" for split in ("eval", "val", "train") for number in (1, 0)
    ]
    for name in [*names, "classes.json", "notes.parquet"]:
        (tmp_path / name).touch()
    assert [path.name for path in shard_paths(tmp_path)] == sorted(
        names, key=lambda name: (["train", "val", "eval"].index(name.split("-")[0]), name)
    )


def test_vocabulary_survives(tmp_path: Path) -> None:
    write_vocabulary(tmp_path / "classes.json", LIST)
    assert read_vocabulary(tmp_path) == LIST


@pytest.mark.parametrize(
    ("rows", "task", "message"),
    [
        ([("1", "x", "train", "a"), ("1", "y", "train", "a")], "multi_label", "1 occurs twice"),
        ([("1", "x", "test", "a")], "multi_label", "unknown split 'test'"),
        ([("1", "x", "train", "z")], "multi_label", "unknown label 'z'"),
        ([("1", "x", "train", "a|b")], "single_label", "needs exactly one"),
        ([("1", "x", "train", "")], "single_label", "has 0 labels"),
        (
            [("1", "x", "train", "a"), ("2", "x", "eval", "a")],
            "multi_label",
            r"in two splits, 1 times: x \(train and eval\)",
        ),
    ],
)
def test_bad_lists_are_refused(
    rows: list[tuple[str, str, str, str]], task: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        check_requests(columns_of(requests(*rows), ("a", "b")), Vocabulary(("a", "b"), task))


def test_good_list_passes() -> None:
    rows = [("1", "x", "train", "a|b"), ("2", "x", "train", ""), ("3", "y", "eval", "a")]
    check_requests(columns_of(requests(*rows), LIST.classes), LIST)


def test_names_with_commas_are_quoted_in_a_warning() -> None:
    names = ("Male speech, man speaking", "Speech")
    (warning,) = untrained_classes(Counter(), names, "keep")
    assert warning.endswith('train: "Male speech, man speaking", Speech')


def test_splits_are_checked() -> None:
    full = {split: Counter({"a": 1, "b": 1}) for split in ("train", "val", "eval")}
    clips = {"train": 2, "val": 2, "eval": 2}
    assert check_splits(clips, full, LIST) == []
    with pytest.raises(UserError, match="split val has no usable clip"):
        check_splits({"train": 2, "eval": 2}, full, LIST)
    with pytest.raises(UserError, match="split eval has no labels"):
        check_splits(clips, full | {"eval": Counter()}, LIST)
    (warning,) = check_splits(clips, full | {"train": Counter({"a": 3})}, LIST)
    assert "1 of 2 classes have no usable clip in split train: b" in warning
    with pytest.raises(UserError, match=r"1 of 2 classes .* train: b;.*untrained_classes=drop"):
        untrained_classes(Counter({"a": 3}), LIST.classes, "stop")
    assert untrained_classes(Counter({"a": 3, "b": 1}), LIST.classes, "stop") == []
    (warning,) = check_splits(clips, full | {"eval": Counter({"a": 3})}, LIST)
    assert "split eval" in warning


@given(
    films=st.lists(st.tuples(st.integers(0, 12), st.sampled_from("ab")), min_size=1, max_size=60),
    share=st.floats(0, 0.5),
)
def test_carved_validation(films: list[tuple[int, str]], share: float) -> None:
    rows = [(str(i), f"film {film}", "train", label) for i, (film, label) in enumerate(films)]
    before = requests(*rows, ("e", "other", "eval", "a"))
    after = carve_validation(before, share)
    assert [replace(request, split="x") for request in after] == [
        replace(request, split="x") for request in before
    ]
    moved = {request.source_id for request in after if request.split == "val"}
    assert not moved & {request.source_id for request in after if request.split != "val"}
    assert len(moved) <= share * len({film for film, _ in films})
    for label in {label for _, label in films}:
        assert any(label in r.labels for r in after if r.split == "train")
    assert after[-1].split == "eval"
    shuffled = carve_validation(before[::-1], share)[::-1]
    if all(len({b for a, b in films if a == film}) == 1 for film, _ in films):
        assert {r.source_id for r in shuffled if r.split == "val"} == moved


def test_carving_takes_about_the_share() -> None:
    rows = [(str(i), f"film {i}", "train", "ab"[i % 2]) for i in range(100)]
    moved = [r for r in carve_validation(requests(*rows), 0.15) if r.split == "val"]
    assert len(moved) == 15


def test_ledger(tmp_path: Path) -> None:
    train = [CLIP, replace(CLIP, clip_id="two", sha256="00" * 32), FAILED]
    evaluation = [replace(CLIP, clip_id="three", split="eval", labels=("b",))]
    paths = [tmp_path / "train-00000.parquet", tmp_path / "eval-00000.parquet"]
    for path, rows in zip(paths, (train, evaluation), strict=True):
        write_rows(path, CLIP_SCHEMA, rows, {})
    ledger = read_ledger(paths)
    assert ledger.rows == {"train": 3, "eval": 1}
    assert ledger.usable == {"train": 2, "eval": 1}
    assert ledger.positives == {"train": {"a": 2, "b": 2}, "eval": {"b": 1}}
    assert ledger.failures == {"missing_file": 1}
    text = "\n".join(ledger.lines())
    assert "train: 2 of 3 clips" in text
    assert "1 failed, missing_file; the first: one: no such file" in text


def test_the_ledger_counts_damage_by_kind(tmp_path: Path) -> None:
    damaged = replace(
        clip("train", 1), damage=("empty_audio", "cut_short"), message="damaged: half"
    )
    rows = [clip("train", 0), damaged, replace(clip("train", 2), status="failed")]
    path = tmp_path / "train-00000.parquet"
    write_rows(path, DECODED_SCHEMA, rows, {})
    assert [row.damage for row in read_decoded(path)] == [row.damage for row in rows]
    lines = read_ledger([path]).lines()
    assert lines[lines.index("1 damaged, used as far as they decode") :] == [
        "1 damaged, used as far as they decode",
        "  1 cut_short",
        "    train-1: half",
        "  1 empty_audio",
        "    train-1: half",
    ]


def test_failures_are_held_against_the_limit() -> None:
    failures, examples = Counter({"missing_file": 2, "timeout": 1}), {"missing_file": "x: gone"}
    check_failures(failures, examples, tried=30, largest=0.1, param="p")
    with pytest.raises(UserError, match=r"3 of 29 .*missing_file 2, timeout 1.*p=0\.1.*x: gone"):
        check_failures(failures, examples, tried=29, largest=0.1, param="p")


def test_fetched_holds_one_thing() -> None:
    with pytest.raises(ValueError, match="one of them"):
        Fetched()
    with pytest.raises(ValueError, match="one of them"):
        Fetched(media=b"", path=Path("x"))
