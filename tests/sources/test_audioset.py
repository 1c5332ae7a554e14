"""AudioSet: its lists are read to the letter, its clips found in a mirror with holes."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from mmlib.media.decode import decode
from mmlib.media.encode import encode
from mmlib.runtime.errors import UserError
from mmlib.sources import audioset, audioset_fetch
from mmlib.sources.base import Fetched, FetchError, Request
from mmlib.sources.columns import columns_of
from mmlib.sources.download import download
from mmlib.sources.youtube.fetch import Site
from tests.samples import FORM, LIMITS, numbered, numbers, tone
from tests.sources.video_lists import (
    CLASSES,
    HEADER,
    IDS,
    MIDS,
    NAMES,
    data_params,
    line,
    write_lists,
)

TRAIN = "".join(line(f"train{n:06d}", 10 * n, 10 * n + 10, MIDS[n % 3]) for n in range(12))
EVAL = line(IDS[0], 30, 40, *MIDS) + line(IDS[1], 202.7, 212.7, MIDS[1])


def test_the_list(tmp_path: Path) -> None:
    clips = audioset.clip_list(data_params("audioset", write_lists(tmp_path, TRAIN, EVAL)), 0)
    assert (clips.source, clips.classes, clips.task) == ("audioset", NAMES, "multi_label")
    first, last = clips.requests[0], clips.requests[-1]
    assert (first.clip_id, first.source_id) == ("train000000_0_10000", "train000000")
    assert (first.labels, first.start_s, first.end_s) == (("Speech",), 0.0, 10.0)
    assert (last.split, last.labels) == ("eval", (NAMES[1],))
    assert (last.start_s, last.end_s) == (202.7, 212.7)
    assert last.locator == {"video": IDS[1]}
    splits = [request.split for request in clips.requests]
    assert [splits.count(split) for split in ("train", "val", "eval")] == [11, 1, 2]
    with pytest.raises(FetchError, match="not_in_mirror: neither a mirror nor youtube"):
        clips.fetch(first)


def test_columns_say_what_the_requests_say(tmp_path: Path) -> None:
    clips = audioset.clip_list(data_params("audioset", write_lists(tmp_path, TRAIN, EVAL)), 0)
    short, long = columns_of(clips.requests, clips.classes), columns_of(list(clips.requests), NAMES)
    assert short.clip_ids.equals(long.clip_ids)
    assert short.source_ids.equals(long.source_ids)
    for name in ("splits", "labels", "label_ends", "seconds"):
        assert np.array_equal(getattr(short, name), getattr(long, name))


def test_names_with_a_prefix_and_other_line_ends(tmp_path: Path) -> None:
    write_lists(tmp_path, TRAIN, EVAL)
    path = tmp_path / "eval_segments.csv"
    path.rename(tmp_path / "audioset_eval_segments.csv")
    text = (tmp_path / "audioset_eval_segments.csv").read_bytes().replace(b"\n", b"\r\n")
    (tmp_path / "audioset_eval_segments.csv").write_bytes(text + b"\r\n")
    assert len(audioset.clip_list(data_params("audioset", tmp_path), 0).requests) == 14


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (line(IDS[0], 0, 10, "/m/none"), "line 4: unknown mid /m/none"),
        (line(IDS[0], 10, 10, MIDS[0]), "line 4: it ends before it starts"),
        (EVAL + f"{IDS[2]}, 0.000, 10.000\n", "line 6: want <id>, <start>"),
        (f'{IDS[0]}, 0.000, 10.000, ""\n', "line 4: want"),
        (f'{IDS[0]}, 0.000, 10.000, "{MIDS[0]}\n', "line 4: a quote is opened and not closed"),
        (f"#NAME?,0,10,{MIDS[0]}\n", "line 4: want"),
        (f"{IDS[0]},0:00,0:10,{MIDS[0]}\n", "line 4: want"),
        ("\xe9, 0, 10, x\n", "line 4: want"),
        (f'a b, 0.000, 10.000, "{MIDS[0]}"\n', "line 4: want"),
        (f'{IDS[0]}, -1.000, 10.000, "{MIDS[0]}"\n', "line 4: want"),
        (f'{IDS[0]}, nan, 10.000, "{MIDS[0]}"\n', "line 4: want"),
        ("", "lists no segments"),
    ],
)
def test_bad_segment_lists_name_the_line(tmp_path: Path, bad: str, message: str) -> None:
    data = data_params("audioset", write_lists(tmp_path, TRAIN, bad))
    with pytest.raises(UserError, match=f"eval_segments.csv.*{message}"):
        audioset.clip_list(data, 0)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("", "line 1: no column index, mid, display_name"),
        (CLASSES.replace("1,/m", "7,/m"), "line 3: 1,<mid>,<display name> is expected"),
        (CLASSES.replace(MIDS[1], MIDS[0]), "line 3"),
        (CLASSES.replace("Male speech, man speaking", "Speech"), "given twice"),
        ("index,mid,display_name\n", "lists no classes"),
    ],
)
def test_bad_class_lists_name_the_line(tmp_path: Path, bad: str, message: str) -> None:
    data = data_params("audioset", write_lists(tmp_path, TRAIN, EVAL, bad))
    with pytest.raises(UserError, match=f"class_labels_indices.csv.*{message}"):
        audioset.clip_list(data, 0)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"needs data\.path"):
        audioset.clip_list(data_params("audioset", None), 0)
    with pytest.raises(UserError, match=r"holds no class_labels_indices\.csv"):
        audioset.clip_list(data_params("audioset", tmp_path), 0)
    write_lists(tmp_path, TRAIN, EVAL)
    with pytest.raises(UserError, match=r"holds no unbalanced_train_segments\.csv"):
        audioset.clip_list(data_params("audioset", tmp_path, train="both"), 0)
    single = data_params("audioset", tmp_path).model_copy(update={"task": "single_label"})
    with pytest.raises(UserError, match=r"data\.task=multi_label"):
        audioset.clip_list(single, 0)


def test_both_training_lists(tmp_path: Path) -> None:
    write_lists(tmp_path, TRAIN, EVAL)
    (tmp_path / "unbalanced_train_segments.csv").write_text(
        HEADER + TRAIN.replace("train", "large"), encoding="utf-8"
    )
    for train, count in (("balanced", 14), ("unbalanced", 14), ("both", 26)):
        data = data_params("audioset", tmp_path, train=train)
        assert len(audioset.clip_list(data, 0).requests) == count


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror with holes: sections of 2 s, and whole videos of 6 s whose frames are numbered."""
    root = tmp_path_factory.mktemp("mirror")
    for number in range(12):
        if number % 4 != 3:
            folder = root / "train" / str(number)
            folder.mkdir(parents=True)
            section = encode(numbered(16), tone(2.0, 200.0 + 20 * number), fps=8.0)
            (folder / f"train{number:06d}_{number}.mp4").write_bytes(section)
    sound = np.concatenate([tone(3.5, 300.0), tone(2.5, 2000.0)])
    whole = encode(numbered(48), sound, fps=8.0, container="webm", audio_kbps=128)
    (root / f"Y{IDS[0]}.webm").write_bytes(whole)
    (root / f"{IDS[2]}.mp4").write_bytes(encode(numbered(16), tone(2.0), fps=8.0))
    (root / "eval0000000.mp4").write_bytes(b"no media at all")
    return root


def mini_lists(folder: Path) -> Path:
    """Lists over the mirror: 12 train, 4 eval, of which 3 and 1 are in no file."""
    train = "".join(line(f"train{n:06d}", n, n + 2, MIDS[n % 3], MIDS[1]) for n in range(12))
    evaluation = "".join(
        [
            line(IDS[0], 2.5, 4.5, MIDS[0], MIDS[2]),
            line(IDS[1], 0, 2, MIDS[1]),
            line(IDS[2], 1, 3, MIDS[1]),
            line("eval0000000", 1, 3, MIDS[1]),
        ]
    )
    return write_lists(folder, train, evaluation)


@pytest.mark.parametrize("media", ["copy", "in_place"])
def test_whole_videos_are_cut_exactly(mirror: Path, tmp_path: Path, media: str) -> None:
    data = data_params("audioset", mini_lists(tmp_path), media, mirror=str(mirror))
    clips = audioset.clip_list(data, 0)
    whole, absent, section, broken = clips.requests[-4:]
    fetched = clips.fetch(whole)
    assert isinstance(fetched.path, Path)
    assert (fetched.path.name, fetched.start_s, fetched.end_s) == (f"Y{IDS[0]}.webm", 2.5, 4.5)
    found = decode(fetched.path, FORM, LIMITS, start_s=fetched.start_s, end_s=fetched.end_s)
    assert found.frames is not None
    assert found.pcm is not None
    # Frames 20, 22, ... of 8 a second; the sound changes its pitch after 1 s, at 3.5 s of the file.
    assert numbers(found.frames).tolist() == [20, 22, 24, 26, 28, 30, 32, 34]
    assert len(found.pcm) == 2 * FORM.sample_rate_hz
    low, high = (np.abs(np.diff(half.astype(int))).mean() for half in np.split(found.pcm, 2))
    assert high > 3 * low
    fetched = clips.fetch(section)
    assert (fetched.start_s, fetched.end_s) == (None, None)
    assert (fetched.media is None) == (media == "in_place")
    with pytest.raises(FetchError, match="not_in_mirror"):
        clips.fetch(absent)
    with pytest.raises(FetchError, match="not_media"):
        clips.fetch(broken)


@pytest.mark.parametrize(("holds", "start_s"), [("clips", None), ("videos", 1.0), ("auto", None)])
def test_what_a_bare_id_is(mirror: Path, tmp_path: Path, holds: str, start_s: float) -> None:
    data = data_params("audioset", mini_lists(tmp_path), mirror=str(mirror), mirror_holds=holds)
    clips = audioset.clip_list(data, 0)
    assert clips.fetch(clips.requests[-2]).start_s == start_s
    # A name with times is the section, whatever the params say.
    assert clips.fetch(clips.requests[0]).start_s is None


def test_youtube_gets_what_the_mirror_lacks(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_params("audioset", mini_lists(tmp_path), mirror=str(mirror), youtube=True)
    asked = []

    def fetch(request: Request, site: Site) -> Fetched:
        asked.append((request.locator["video"], request.start_s, request.end_s, site.url))
        return Fetched(media=b"media", attempts=2)

    monkeypatch.setattr("mmlib.sources.videos.fetch", fetch)
    clips = audioset.clip_list(data, 0)
    for request in clips.requests[-4:-1]:
        clips.fetch(request)
    assert asked == [(IDS[1], 0.0, 2.0, data.youtube.url)]


def test_a_subset_of_what_the_mirror_has(mirror: Path, tmp_path: Path) -> None:
    data = data_params("audioset", mini_lists(tmp_path), mirror=str(mirror), subset_from="mirror")
    clips = audioset.clip_list(data, 0)
    assert len(clips.requests) == 12
    assert all("path" in request.locator for request in clips.requests)


def test_a_changed_file_is_other_work(mirror: Path, tmp_path: Path) -> None:
    data = data_params("audioset", mini_lists(tmp_path / "lists"), mirror=str(tmp_path))
    media = tmp_path / f"{IDS[0]}.mp4"
    digests = []
    for content in (None, b"one", b"other"):
        if content:
            media.write_bytes(content)
        clips = audioset.clip_list(data, 0)
        digests.append(columns_of(clips.requests, clips.classes).digest)
    assert len(set(digests)) == 3


def test_download_from_a_mirror_with_holes(mirror: Path, tmp_path: Path) -> None:
    data = data_params("audioset", mini_lists(tmp_path / "lists"), mirror=str(mirror))
    ledger = download(
        audioset.clip_list(data, 0),
        tmp_path / "clips",
        shard_clips=5,
        max_failed_share=0.4,
        scratch_root=tmp_path / "scratch",
    )
    assert ledger.rows.total() == 16
    assert ledger.failures == {"not_in_mirror": 4, "not_media": 1}
    assert ledger.usable["eval"] == 2


class _Quiet(SimpleHTTPRequestHandler):
    """Files of a folder; what is asked for is counted."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """An address on loopback that serves the lists, and what was asked of it."""
    write_lists(tmp_path / "site", TRAIN, EVAL)
    asked: list[str] = []
    handler = type("Handler", (_Quiet,), {"asked": asked})
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(handler, directory=str(tmp_path / "site"))
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_lists_are_fetched_once(tmp_path: Path, site: tuple[str, list[str]]) -> None:
    address, asked = site
    data = data_params("audioset", tmp_path / "lists", fetch_lists=True, lists_url=address)
    assert len(audioset.clip_list(data, 0).requests) == 14
    assert len(asked) == 3
    audioset.clip_list(data, 0)
    assert len(asked) == 3
    got = sorted(path.name for path in (tmp_path / "lists").iterdir())
    assert got == sorted(path.name for path in (tmp_path / "site").iterdir())


def test_lists_that_cannot_be_fetched(tmp_path: Path, site: tuple[str, list[str]]) -> None:
    folder = tmp_path / "lists"
    with pytest.raises(UserError, match=r"nothing\.csv cannot be fetched \(File not found\)"):
        audioset_fetch.fetch_lists(folder, ["nothing.csv"], site[0])
    # Port 1 of this machine answers nobody: as when it is offline.
    with pytest.raises(UserError, match=r"cannot be fetched .*put a\.csv into .*lists yourself"):
        audioset_fetch.fetch_lists(folder, ["a.csv"], "http://127.0.0.1:1")
    with pytest.raises(UserError, match="no http address"):
        audioset_fetch.fetch_lists(folder, ["a.csv"], "file:///etc")
    assert list(folder.iterdir()) == []


def test_the_published_lists(shared_dir: Path) -> None:
    clips = audioset.clip_list(data_params("audioset", shared_dir / "data"), 0)
    assert len(clips.classes) == 527
    assert clips.classes[:2] == ("Speech", "Male speech, man speaking")
    columns = columns_of(clips.requests, clips.classes)
    assert columns.clips() == {"train": 18836, "val": 3324, "eval": 20371}
    # Of 52,882 and 51,804 labels, as the lists' own second lines say.
    assert len(columns.labels) == 52882 + 51804
    assert all(columns.positives(clips.classes)[split].total() for split in ("train", "val"))
