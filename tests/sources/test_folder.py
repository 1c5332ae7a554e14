"""The folder source: the list is read strictly, media leniently."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from mmlib.params.data import Data
from mmlib.runtime.errors import UserError
from mmlib.sources import folder, local
from mmlib.sources.base import ClipList, FetchError
from mmlib.sources.catalogue import SOURCES
from mmlib.sources.catalogue import clip_list as any_list

HEADER = "clip_id,path,labels,split\n"
GOOD = HEADER + "a,a.mp4,x|y,train\nb,b.mp4,y,val\nc,c.mp4,x,eval\n"


def read(path: Path, media: str = "copy", task: str = "multi_label") -> ClipList:
    """List the folder with the params that the source reads."""
    data = SimpleNamespace(val_share=0.15, source="folder", path=str(path), media=media, task=task)
    return folder.clip_list(cast(Data, data), seed=0)


def write(tmp_path: Path, text: str) -> Path:
    """A folder with that list."""
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    return tmp_path


def test_list(tmp_path: Path) -> None:
    clips = read(write(tmp_path, GOOD))
    assert clips.classes == ("x", "y")
    assert clips.source == "folder"
    first = clips.requests[0]
    assert (first.clip_id, first.source_id, first.split) == ("a", "a.mp4", "train")
    assert first.labels == ("x", "y")
    assert (first.start_s, first.end_s) == (None, None)


def test_the_list_may_have_another_name(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text(GOOD, encoding="utf-8")
    assert len(read(tmp_path / "other.csv").requests) == 3


def test_sections_recordings_quotes_and_byte_order_mark(tmp_path: Path) -> None:
    rows = 'a,"x, ""y"".mp4", b | |b|c ,train,1.5,2,film\nb,b,,eval,,,\nc,c,b,val,,3,\n'
    write(tmp_path, "\ufeffclip_id,path,labels,split,start_s,end_s,source_id\n" + rows)
    a, b, c = read(tmp_path).requests
    assert (a.start_s, a.end_s, a.source_id, a.labels) == (1.5, 2.0, "film", ("b", "c"))
    assert str(a.locator["path"]).endswith('x, "y".mp4')
    assert (b.start_s, b.end_s, b.source_id, b.labels) == (None, None, "b", ())
    assert (c.start_s, c.end_s) == (None, 3.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column clip_id, path, labels, split; it has none"),
        ("clip_id path labels split\n", "separated by commas, semicolons or tabs"),
        ("clip_id,path,labels,split,path\n", "line 1: column path is there twice"),
        ("clip_id,path,split\n", "no column labels; it has clip_id, path, split"),
        (HEADER, "lists no clips"),
        (HEADER + "a,a.mp4,x,test\n", r"line 2: unknown split 'test': use train, val, eval"),
        (HEADER + "a,a.mp4,x,val\n\nb,b.mp4,x,\n", "line 4: unknown split ''"),
        (HEADER + "a,a,x,val\na,b,x,val\n", "line 3: clip_id a is used in line 2 already"),
        (HEADER + ",a.mp4,x,val\n", "line 2: clip_id is empty"),
        (HEADER + "a, ,x,val\n", "line 2: path is empty"),
        (HEADER + "a,a,x\n", "line 2: the number of fields"),
        (HEADER + "a,b,c,x,val\n", "line 2: the number of fields"),
        (HEADER + 'a,"b,c,val\n', "line 2: a quote is opened and not closed"),
        (HEADER + 'a,a,"x"y,val\n', "line 2: .*a quote too many"),
        (HEADER + 'a,"a\nb",x,val\n', "line 2: a quote is opened and not closed"),
        (HEADER + "a,a,x,val\n\0", "line 3: it holds a zero byte"),
        (HEADER[:-1] + ",end_s\na,a,x,val,soon\n", "line 2: end_s is 'soon'"),
        (HEADER[:-1] + ",start_s\na,a,x,val,-1\n", "line 2: start_s is -1"),
        (HEADER[:-1] + ",end_s\na,a,x,val,inf\n", "line 2: end_s is inf: leave the cell empty"),
        (HEADER[:-1] + ",start_s\na,a,x,val,#N/A\n", "line 2: start_s is '#N/A'"),
        (HEADER[:-1] + ",start_s\na,a,x,val,1_0\n", "line 2: start_s is '1_0'"),
        (HEADER[:-1] + ",start_s,end_s\na,a,x,val,2,2\n", "line 2: end_s 2 is not after start_s 2"),
    ],
)
def test_bad_lists_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(write(tmp_path, text))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((HEADER + "a,a,x,val\né,é,x,val\n").encode("latin-1"), r"line 3: not UTF-8 \(byte 0xe9"),
        ((HEADER + "a,a,x,val\n").encode("utf-16"), "line 1: UTF-16, not UTF-8"),
        ((HEADER + "a,a,x,val\n").encode("utf-16-le"), "line 1: it holds a zero byte"),
    ],
)
def test_other_encodings_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(UserError, match=rf"labels\.csv, {message}"):
        read(tmp_path)


def test_a_folder_is_needed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must hold a labels\.csv"):
        read(tmp_path)
    with pytest.raises(UserError, match=r"no .*absent"):
        read(tmp_path / "absent")
    data = SimpleNamespace(
        val_share=0.15, source="folder", path=None, media="copy", task="multi_label"
    )
    with pytest.raises(UserError, match=r"needs data\.path"):
        folder.clip_list(cast(Data, data), seed=0)


def test_validation_is_carved_where_there_is_none(tmp_path: Path) -> None:
    rows = [f"t{i},t{i}.mp4,x,train" for i in range(40)] + ["e,e.mp4,x,eval"]
    clips = read(write(tmp_path, HEADER + "\n".join(rows)))
    assert sum(request.split == "val" for request in clips.requests) == 6


def test_fetching(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"media")
    (tmp_path / "c.mp4").mkdir()
    write(
        tmp_path,
        HEADER[:-1] + ",start_s\na,a.mp4,x,train,2\nb,b.mp4,x,val,\nc,c.mp4,x,eval,\n"
        "d,a.mp4,x,train,0\n",
    )
    copied, in_place = read(tmp_path), read(tmp_path, media="in_place")
    # A section of a recording stays where it is: the recording would come with each of its clips.
    for clips in (copied, in_place):
        fetched = clips.fetch(clips.requests[0])
        assert (fetched.media, fetched.path, fetched.start_s) == (None, tmp_path / "a.mp4", 2.0)
    fetched = copied.fetch(copied.requests[3])
    assert (fetched.media, fetched.path, fetched.start_s) == (b"media", None, None)
    assert in_place.fetch(in_place.requests[3]).path == tmp_path / "a.mp4"
    for clips in (copied, in_place):
        with pytest.raises(FetchError, match="missing_file"):
            clips.fetch(clips.requests[1])
        with pytest.raises(FetchError, match="not_a_file"):
            clips.fetch(clips.requests[2])


def test_files_that_do_not_fit_are_left_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_COPY_BYTES", 3)
    (tmp_path / "a.mp4").write_bytes(b"media")
    clips = read(write(tmp_path, GOOD))
    with pytest.raises(FetchError, match=r"file_too_big.*in_place"):
        clips.fetch(clips.requests[0])


def test_unusable_names_fail_their_clip_only(tmp_path: Path) -> None:
    clips = read(write(tmp_path, HEADER + f"a,{'n' * 5000},x,train\nb,b,x,val\n"))
    with pytest.raises(FetchError, match="unreadable_file"):
        clips.fetch(clips.requests[0])


def test_a_changed_file_changes_its_locator(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    absent = read(tmp_path).requests[0]
    (tmp_path / "a.mp4").write_bytes(b"media")
    present = read(tmp_path).requests[0]
    (tmp_path / "a.mp4").write_bytes(b"other media")
    assert len({str(r.locator) for r in (absent, present, read(tmp_path).requests[0])}) == 3


def test_unknown_source() -> None:
    data = SimpleNamespace(val_share=0.15, source="tapes")
    with pytest.raises(UserError, match=f"data.source=tapes.*{', '.join(SOURCES)}"):
        any_list(cast(Data, data), seed=0)


def test_the_real_clips(shared_dir: Path) -> None:
    clips = read(shared_dir / "real")
    assert len(clips.requests) == 1188
    assert len(clips.classes) == 22
    splits = [request.split for request in clips.requests]
    assert [splits.count(split) for split in ("train", "val", "eval")] == [819, 187, 182]
    digits = read(shared_dir / "real" / "labels_digit.csv", task="single_label")
    assert len(digits.classes) == 10
    assert all(len(request.labels) == 1 for request in digits.requests)
