"""The folder's list in every form: one recording and one class however spelt, doubts said aloud."""

import re
from pathlib import Path

import pytest

from mmlib.runtime.errors import UserError
from mmlib.sources import doubtful
from mmlib.sources.audioset_lists import read_classes
from mmlib.sources.base import FetchError
from mmlib.sources.download import download
from mmlib.sources.kinetics_classes import CLASS_LISTS
from tests.sources.test_folder import GOOD, HEADER, read, write


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        "\ufeff" + GOOD.replace(",", ";"),
        "sep=;\n" + GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        "\n,,,\n" + GOOD.replace("\n", "\n,,,\n"),
        GOOD.replace("\n", ",,\n"),
        GOOD.replace(",", " , "),
        GOOD.replace("clip_id", "Clip ID"),
        HEADER.title() + GOOD[len(HEADER) :].replace("train", "TRAIN").replace("eval", "Eval"),
        "".join(f'"{line}"\n' for line in GOOD.replace(",", ";").split()),
        GOOD.replace("clip_id", '"clip_id"').replace("a,a.mp4", '"a" ,"a.mp4"'),
        GOOD.replace("a,a.mp4,x|y,train", '"a, ""a.mp4"",x|y,train"'),
        "".join(f"{n},{line}\n" for n, line in zip(("", 0, 1, 2), GOOD.split(), strict=True)),
    ],
)
def test_what_spreadsheets_and_pandas_write(tmp_path: Path, text: str) -> None:
    found = read(write(tmp_path, text)).requests
    true = read(write(tmp_path, GOOD)).requests
    assert [(r.clip_id, r.source_id, r.split, r.labels) for r in found] == [
        (r.clip_id, r.source_id, r.split, r.labels) for r in true
    ]


def test_a_comma_in_numbers_where_semicolons_part_cells(tmp_path: Path) -> None:
    write(tmp_path, "clip_id;path;labels;split;start_s;end_s\na;a;x;train;0,5;10\nb;b;x;val;;\n")
    first = read(tmp_path).requests[0]
    assert (first.start_s, first.end_s) == (0.5, 10.0)


SPELLINGS = ("./m/a.mp4", "m//a.mp4", "m/../m/a.mp4", "m/a.mp4 ")


@pytest.mark.parametrize(
    ("other", "there"),
    [*((other, there) for other in SPELLINGS for there in (True, False)), ("m\\a.mp4", True)],
)
def test_a_recording_is_one_however_its_path_is_spelt(
    tmp_path: Path, other: str, there: bool
) -> None:
    (tmp_path / "m").mkdir()
    if there:
        (tmp_path / "m/a.mp4").write_bytes(b"media")
    _refused(write(tmp_path, HEADER + f"a,m/a.mp4,x,train\nb,{other},x,eval\nc,c,x,val\n"))


def test_a_recording_is_one_through_links_and_whole_paths(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"media")
    (tmp_path / "soft").symlink_to("a.mp4")
    (tmp_path / "hard").hardlink_to(tmp_path / "a.mp4")
    (tmp_path / "dir").symlink_to(".")
    for other in (str(tmp_path / "a.mp4"), "soft", "hard", "dir/a.mp4"):
        _refused(write(tmp_path, HEADER + f"a,a.mp4,x,train\nb,{other},x,eval\nc,c,x,val\n"))


@pytest.mark.parametrize(
    "other", ["film1 ", "\u00a0film1", "film1\u200b", "film\u200d1", "\u202afilm1\u202c"]
)
def test_a_recording_is_one_however_its_name_is_spelt(tmp_path: Path, other: str) -> None:
    head = HEADER[:-1] + ",source_id\n"
    _refused(write(tmp_path, head + f"a,a,x,train,film1\nb,b,x,eval,{other}\nc,c,x,val,film2\n"))


def _refused(folder: Path) -> None:
    clips = read(folder)
    assert clips.requests[0].source_id == clips.requests[1].source_id
    with pytest.raises(UserError, match="the same recording is in two splits, 1 times"):
        download(clips, folder / "clips", shard_clips=9, max_failed_share=1)


def test_files_are_found_however_their_names_are_spelt(tmp_path: Path) -> None:
    (tmp_path / "e\u0301.mp4").write_bytes(b"composed of two")
    (tmp_path / "b .mp4").write_bytes(b"an ordinary blank")
    (tmp_path / "end ").write_bytes(b"a blank at the end")
    rows = "a,\u00e9.mp4 ,x,train\nb,b\u00a0.mp4,x,val\nc,end ,x,eval\n"
    clips = read(write(tmp_path, HEADER + rows))
    found = [clips.fetch(request).media for request in clips.requests]
    assert found == [b"composed of two", b"an ordinary blank", b"a blank at the end"]


def test_files_are_found_by_their_addresses_and_from_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home/d").write_bytes(b"at home")
    (tmp_path / "a b#c").write_bytes(b"escaped")
    (tmp_path / "100%25").write_bytes(b"as it stands")
    quoted = "\u201ca b#c\u201d"
    names = (f"file://{tmp_path}/a%20b%23c", "a%20b%23c", quoted, "100%25", "~/d")
    text = HEADER + "".join(f"{n},{name},x,train\n" for n, name in enumerate(names))
    clips = read(write(tmp_path, text))
    found = [clips.fetch(request).media for request in clips.requests]
    assert found == [*[b"escaped"] * 3, b"as it stands", b"at home"]
    write(tmp_path, HEADER + "a,https://x.org/a.mp4,x,train\n")
    with pytest.raises(UserError, match=r"line 2: path is https://x\.org/a\.mp4: media are read"):
        read(tmp_path)


def test_a_file_in_other_letters_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "Film"
    folder.mkdir()
    (folder / "A.MP4").write_bytes(b"media")
    if (tmp_path / "film/a.mp4").exists():
        pytest.skip("capital and small letters are one on this disk")
    (folder / "b.mp4").write_bytes(b"one")
    (folder / "B.mp4").write_bytes(b"other")
    rows = "a,film/a.mp4,x,train\nb,Film/B.MP4,x,val\nc,Film/c.mp4,x,eval\n"
    clips = read(write(tmp_path, HEADER + rows))
    messages = []
    for request in clips.requests:
        with pytest.raises(FetchError, match="missing_file: no such file") as found:
            clips.fetch(request)
        messages.append(found.value.message)
    assert f"there is {folder / 'A.MP4'}" in messages[0]
    assert not any("there is" in message for message in messages[1:])


def test_recordings_that_may_be_one_are_warned_about(tmp_path: Path) -> None:
    head = HEADER[:-1] + ",source_id\n"
    rows = "a,a,x,train,Film 1\nb,b,x,eval,film_1\nc,c,x,val,m/2\nd,d,x,val,m\\2/\ne,e,x,val,3\n"
    assert [line.partition(": ")[2] for line in read(write(tmp_path, head + rows)).warnings] == [
        "2 recordings differ in their spelling only; if they are one, spell them alike: "
        "'Film 1' (1 row, line 2), 'film_1' (1 row, line 3)",
        "2 recordings differ in their spelling only; if they are one, spell them alike: "
        "'m/2' (1 row, line 4), 'm\\\\2/' (1 row, line 5)",
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("NA", "NA"), r"1 recording named as if .*'NA' \(2 rows, lines 2, 3\)"),
        (("1.2E+11", "1.2E+11"), r"1 recording shortened by a spreadsheet"),
        (("12.0", "12"), r"2 recordings differ in their spelling only"),
        (("abcdefghij0", "https://youtu.be/abcdefghij0?t=1"), r"2 recordings differ"),
        (("m%2Fa", "m/a"), r"2 recordings differ in their spelling only"),
    ],
)
def test_names_of_recordings_that_are_doubtful(
    tmp_path: Path, names: tuple[str, str], message: str
) -> None:
    rows = "".join(f"{n},{n},x,train,{name}\n" for n, name in enumerate(names))
    warnings = read(write(tmp_path, HEADER[:-1] + ",source_id\n" + rows)).warnings
    assert len(warnings) == 1
    assert re.search(rf"labels\.csv: {message}", warnings[0])


def test_a_row_that_looks_like_a_comment_is_used_and_told(tmp_path: Path) -> None:
    clips = read(write(tmp_path, GOOD + "#d,d,x,train\n"))
    assert [request.clip_id for request in clips.requests if "d" in request.clip_id] == ["#d"]
    assert "1 clip named with a # in front" in clips.warnings[0]


@pytest.mark.parametrize("name", ["start_s (s)", "Start [s]", "onset", "t0", "start_ms"])
def test_other_titles_of_a_start_are_warned_about(tmp_path: Path, name: str) -> None:
    warnings = read(write(tmp_path, HEADER[:-1] + f",{name}\na,a,x,train,1\n")).warnings
    assert [line.rpartition(": ")[2] for line in warnings] == [
        "start_s is the name of what is read"
    ]


def test_columns_that_may_be_meant_are_warned_about(tmp_path: Path) -> None:
    head, rows = HEADER[:-1] + ",Start,end_s,note\n", "a,a,x,train,0,1,\nb,b,x,eval,,,\n"
    assert [line.partition(": ")[2] for line in read(write(tmp_path, head + rows)).warnings] == [
        "column start is passed over: start_s is the name of what is read"
    ]


def test_an_id_that_became_a_formula_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"line 2: clip_id is #NAME\?: a spreadsheet"):
        read(write(tmp_path, HEADER + "#NAME?,a,x,train\n"))


def test_one_class_however_its_name_is_spelt(tmp_path: Path) -> None:
    rows = "a,a,caf\u00e9 au lait|x,train\nb,b,cafe\u0301\u00a0au  lait,val\nc,c,x ,eval\n"
    clips = read(write(tmp_path, HEADER + rows))
    assert clips.classes == ("caf\u00e9 au lait", "x")
    assert clips.warnings == ()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("\"['dog', 'cat']\"", "['dog']"), r"2 labels look like a list in another form"),
        (("dog;cat", "dog;cat"), r"1 label looks like a list .*'dog;cat' \(2 rows, lines 2, 3\)"),
        (('"dog,cat"', "dog"), r"1 label looks like a list .*'dog,cat' \(1 row, line 2\)"),
        (('"dog, cat"', "dog|cat"), r"1 label looks like a list"),
        (("nan", "None"), r"2 labels look like an empty cell"),
        (("3.0", "3"), r"1 label looks like a whole number"),
        (("Dog_bark", "dog bark"), r"2 labels differ in their spelling only"),
        (("dog\u2019s", "dog's"), r"2 labels differ in their spelling only"),
        (("\uff44og", "dog."), r"2 labels differ in their spelling only"),
        (("01", "1"), r"2 labels differ in their spelling only"),
        (("dog\uff5ccat", "dog"), r"1 label looks like a list"),
        (("dog and cat", "dog|cat"), r"1 label looks like a list"),
        (("\u201cdog\u201d", "cat"), r"1 label looks like a list"),
        (("#REF!", "cat"), r"1 label looks like an empty cell"),
        (("#BEZUG!", "\u2014"), r"2 labels look like an empty cell"),
        (("N.A.", "(null)"), r"2 labels look like an empty cell"),
        (("0 1 0", "1 0 0"), r"2 labels look like a list"),
        (("dog^cat", "dog|cat"), r"1 label looks like a list"),
        (("1E+05", "cat"), r"1 label looks like a whole number"),
        (("wood\u2010block", "wood-block"), r"2 labels differ in their spelling only"),
        (("'dog", "dog"), r"2 labels differ in their spelling only"),
        (("dog%20bark", "dog bark"), r"2 labels differ in their spelling only"),
        (("d\u043eg", "dog"), r"1 label looks like words of one alphabet"),
        (("caf\u00c3\u00a9", "cat"), r"1 label looks like text that was read in another"),
        (("R&amp;B", "cat"), r"1 label looks like text .* from a web page"),
    ],
)
def test_doubtful_labels_are_warned_about(
    tmp_path: Path, labels: tuple[str, str], message: str
) -> None:
    rows = "".join(f"{n},{n},{label},train\n" for n, label in enumerate(labels))
    warnings = read(write(tmp_path, HEADER + rows)).warnings
    assert len(warnings) == 1
    assert re.search(rf"labels\.csv: {message}", warnings[0])


def test_the_names_of_known_sets_are_not_doubtful(shared_dir: Path) -> None:
    names = list(read_classes(shared_dir / "data/class_labels_indices.csv").values())
    for known in (names, CLASS_LISTS["34"]):
        assert doubtful.warnings({name: [1] for name in known}) == []
    assert read(shared_dir / "real").warnings == ()


def test_warnings_come_with_a_refusal_and_with_the_counts(tmp_path: Path) -> None:
    write(tmp_path, HEADER + "a,a,dog;cat,train\nb,b,dog;cat,val\nc,c,cat,eval\n")
    with pytest.raises(
        UserError, match=r"no usable clip in split train: cat; .*; note: .*'dog;cat'"
    ):
        download(read(tmp_path), tmp_path / "out", shard_clips=9, max_failed_share=1)
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode())
    ledger = download(
        read(tmp_path),
        tmp_path / "out",
        shard_clips=9,
        max_failed_share=1,
        absent_classes="keep",
        scratch_root=tmp_path / "scratch",
    )
    assert any("'dog;cat' (2 rows, lines 2, 3)" in line for line in ledger.lines())
