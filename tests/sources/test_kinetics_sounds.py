"""Kinetics-Sounds: every spelling of splits and classes, and a val list that is the test list."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmlib.runtime.errors import UserError
from mmlib.sources import kinetics_sounds
from mmlib.sources.base import ClipList, FetchError
from mmlib.sources.download import download
from mmlib.sources.kinetics_classes import CLASS_LISTS, RENAMED, plain
from tests.samples import media
from tests.sources.video_lists import data_params

HEADER = "label,youtube_id,time_start,time_end,split\n"
NAMES = CLASS_LISTS["31"]


def rows(split: str, prefix: str, times: int = 2, names: tuple[str, ...] = NAMES) -> str:
    """`times` clips of each class; the ids are 11 characters."""
    return "".join(
        f"{name},{prefix}{number:02d}{again:0{9 - len(prefix)}d},10,20,{split}\n"
        for again in range(times)
        for number, name in enumerate(names)
    )


def listed(path: Path, **changed: Any) -> ClipList:
    """The clips of some annotations."""
    return kinetics_sounds.clip_list(data_params("kinetics_sounds", path, **changed), 0)


def write(folder: Path, **files: str) -> Path:
    """A folder of CSV files."""
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def splits(clips: ClipList) -> dict[str, int]:
    """Clips a split."""
    found = [request.split for request in clips.requests]
    return {split: found.count(split) for split in ("train", "val", "eval")}


def test_the_lists_are_those_in_circulation(shared_dir: Path) -> None:
    text = (shared_dir / "data/kinetics_sounds_classes.json").read_text(encoding="utf-8")
    known = json.loads(text)
    for length, names in CLASS_LISTS.items():
        assert len(names) == int(length)
        assert sorted(names) == list(names)
        assert {plain(name) for name in known[f"ks{length}"]} == set(names)
    before = {name for name in known["ks34"] if plain(name) != name}
    assert before == set(RENAMED)


@pytest.mark.parametrize(
    "name",
    ["Playing_Bass Guitar", "playing bass guitar", "playing bass (guitar)", "PLAYING_BASS_GUITAR"],
)
def test_names_in_any_spelling(name: str) -> None:
    assert plain(name) == "playing bass guitar"


def test_one_file_with_all_splits(tmp_path: Path) -> None:
    text = HEADER + rows("train", "a", 3) + rows("validate", "b") + rows("test", "c")
    other = "air drumming,zzzzzzzzzzz,0,10,train\n"
    (tmp_path / "all.csv").write_text(text + other, encoding="utf-8")
    clips = listed(tmp_path / "all.csv")
    assert (clips.classes, clips.task) == (NAMES, "single_label")
    assert splits(clips) == {"train": 93, "val": 62, "eval": 62}
    first = clips.requests[0]
    assert (first.clip_id, first.labels) == ("a0000000000_10000_20000", (NAMES[0],))
    assert (first.start_s, first.end_s) == (10.0, 20.0)


def test_a_folder_whose_names_say_the_splits(tmp_path: Path) -> None:
    files = {
        name: "\n".join(line.rsplit(",", 1)[0] for line in (HEADER + text).splitlines())
        for name, text in {
            "kinetics700_2020_train": rows("x", "a", 3),
            "kinetics700_2020_val": rows("x", "b"),
            "test": rows("x", "c"),
        }.items()
    }
    write(
        tmp_path, notes="a,b\n1,2\n", unlabelled="youtube_id,time_start,time_end,split\n", **files
    )
    assert splits(listed(tmp_path)) == {"train": 93, "val": 62, "eval": 62}


def test_a_list_without_test_is_evaluated_on_val(tmp_path: Path) -> None:
    write(tmp_path, train=HEADER + rows("train", "a", 10), val=HEADER + rows("val", "b"))
    assert splits(listed(tmp_path)) == {"train": 264, "val": 46, "eval": 62}


def test_val_that_is_test_is_used_once(tmp_path: Path) -> None:
    text = HEADER + rows("train", "a", 10) + rows("val", "b") + rows("test", "b")
    write(tmp_path, all=text)
    clips = listed(tmp_path)
    assert splits(clips) == {"train": 264, "val": 46, "eval": 62}
    videos = {split: set[str]() for split in ("train", "val", "eval")}
    for request in clips.requests:
        videos[request.split].add(request.source_id)
    assert not videos["val"] & videos["eval"]


def test_val_that_shares_some_clips_with_test_is_refused(tmp_path: Path) -> None:
    val = rows("val", "b") + rows("val", "d", 1)
    write(tmp_path, all=HEADER + rows("train", "a") + val + rows("test", "b"))
    with pytest.raises(UserError, match="occurs twice"):
        download(
            listed(tmp_path),
            tmp_path / "clips",
            shard_clips=9,
            max_failed_share=1,
            scratch_root=tmp_path / "scratch",
        )


def test_old_names_find_their_classes(tmp_path: Path) -> None:
    names = (*CLASS_LISTS["34"][:4], *RENAMED)
    text = HEADER + rows("train", "a", 3, names) + rows("test", "b", 1, names)
    clips = listed(write(tmp_path, all=text), classes=34, absent_classes="drop")
    assert set(RENAMED.values()) < set(clips.classes)


@pytest.mark.parametrize("length", ["32", "34"])
def test_classes_without_annotations(tmp_path: Path, length: str) -> None:
    write(tmp_path, train=HEADER + rows("train", "a"), test=HEADER + rows("test", "b"))
    with pytest.raises(UserError, match=r"no clips of .*strumming guitar.*absent_classes=drop"):
        listed(tmp_path, classes=length)
    assert listed(tmp_path, classes=length, absent_classes="drop").classes == NAMES


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("bowling,abc,5,5,train\n", "line 2: time_end is not after"),
        ("bowling,abc,x,5,train\n", "line 2: time_start is 'x'"),
        ("bowling,abc,-1,5,train\n", "line 2: time_start is '-1'"),
        ("bowling,a b,0,5,train\n", "line 2: youtube_id is 'a b'"),
        ("bowling,abc,0,5,holdout\n", "line 2: unknown split 'holdout'"),
        ("bowling,abc,0\n", "line 2: the number of fields"),
    ],
)
def test_bad_lists_name_the_line(tmp_path: Path, bad: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"all\.csv, {message}"):
        listed(write(tmp_path, all=HEADER + bad))


def test_a_quote_that_never_closes_names_its_row(tmp_path: Path) -> None:
    text = HEADER + rows("train", "a", 1) + '"bowling,abc,0,10,train\n' + rows("test", "b", 20)
    with pytest.raises(UserError, match=r"all\.csv, line 33: a quote is opened and not closed"):
        listed(write(tmp_path, all=text))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text.replace("\n", "\r\n"),
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",10,", ",10,0,").replace(",", ";").replace(";10;0", ";10,0"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace("\n", " ,\n,,,,,\n"),
        lambda text: text.replace(HEADER, HEADER.title()),
        lambda text: (
            text.replace(",", '","').replace("\n", '"\n"')[:-1].replace("label", '"label', 1)
        ),
        lambda text: text.replace(" ", "\u00a0"),
        lambda text: text.replace("ing", "\u200bing\u200d"),
    ],
)
def test_what_spreadsheets_and_pandas_write(tmp_path: Path, change: Callable[[str], str]) -> None:
    text = HEADER + rows("train", "a", 3) + rows("validate", "b") + rows("test", "c")
    true = listed(write(tmp_path, all=text)).requests
    found = listed(write(tmp_path, all=change(text))).requests
    assert list(found) == list(true)
    assert len(found) == 217


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    text = HEADER + rows("train", "a")
    (tmp_path / "train.csv").write_bytes(text.encode("utf-16"))
    write(tmp_path, test=HEADER + rows("test", "b"))
    with pytest.raises(UserError, match=r"train\.csv, line 1: UTF-16, not UTF-8"):
        listed(tmp_path)
    (tmp_path / "train.csv").write_bytes((text + "caf\xe9,b,0,1,train\n").encode("latin-1"))
    with pytest.raises(UserError, match=r"train\.csv, line 64: not UTF-8"):
        listed(tmp_path)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no Kinetics annotations"):
        listed(tmp_path)
    with pytest.raises(UserError, match=r"needs data\.path"):
        kinetics_sounds.clip_list(data_params("kinetics_sounds", None), 0)
    multi = data_params("kinetics_sounds", tmp_path).model_copy(update={"task": "multi_label"})
    with pytest.raises(UserError, match=r"data\.task=single_label and attack\.loss=cross_entropy"):
        kinetics_sounds.clip_list(multi, 0)


def test_a_local_tree(tmp_path: Path) -> None:
    write(tmp_path, train=HEADER + rows("train", "a"), test=HEADER + rows("test", "b"))
    tree = tmp_path / "tree"
    places = [
        f"train/{NAMES[0]}/a0000000000_000010_000020.mp4",
        f"{NAMES[1].replace(' ', '_')}/a0100000000_000010_000020.webm",
        "a0200000000_10_20.mkv",
        "val/a0300000000_000030_000040.mp4",
    ]
    for place in places:
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        (tree / place).write_bytes(media(hz=200.0 + 10 * len(place)))
    clips = listed(tmp_path, mirror=str(tree))
    at = {request.source_id: request for request in clips.requests}
    for number in range(3):
        assert clips.fetch(at[f"a{number:02d}00000000"]).media
    with pytest.raises(FetchError, match="not_in_mirror"):
        clips.fetch(at["a0300000000"])
