"""Lists and media on object stores: what is there is used, what is not is one line."""

import errno
import gzip
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from mmlib.media.encode import encode
from mmlib.media.ffmpeg import Limits
from mmlib.media.graph import Form
from mmlib.params.data import Data
from mmlib.params.whole.file import load
from mmlib.runtime import stores
from mmlib.runtime.errors import UserError
from mmlib.shards.decode_clip import decode_clip
from mmlib.sources import folder
from mmlib.sources.base import ClipList
from mmlib.sources.catalogue import clip_list
from mmlib.sources.fetched_clip import fetch_clip
from tests.conftest import ROOT
from tests.samples import numbered, tone
from tests.sources.object_store import BUCKET, CUT, SHORT, STALLED, Fault, ObjectStore, served
from tests.sources.video_lists import CLASSES, HEADER, IDS, MIDS, data_params, line
from tools.planning import availability, measure

LIST = "clip_id,path,labels,split,start_s,end_s\n"
ROWS = (
    "a,in/a.mp4,x|y,train,,\nb,in/b ä+%.mp4,y,val,,\n"
    "c,in/a.mp4,x,train,0.5,1.5\nd,none.mp4,x,eval,,\n"
)
FORM = Form(sample_rate_hz=16000, fps=5.0, size=24)
SECONDS = 2.0


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ObjectStore]:
    """A store with a list and two clips of two seconds."""
    monkeypatch.chdir(tmp_path)
    media = encode(numbered(round(SECONDS * 5)), tone(SECONDS), fps=5.0)
    with served(monkeypatch) as running:
        running.held |= {"set/in/a.mp4": media, "set/in/b ä+%.mp4": media + b"\0" * 8}
        running.held["set/labels.csv"] = (LIST + ROWS).encode()
        yield running


def listed(path: str, media: str = "copy") -> ClipList:
    """The list at a path."""
    asked = SimpleNamespace(
        val_share=0.15, source="folder", path=path, media=media, task="multi_label"
    )
    return folder.clip_list(cast(Data, asked), seed=0)


@pytest.mark.parametrize("path", ["set", "set/", "set/labels.csv"])
def test_a_list_and_its_media(store: ObjectStore, path: str) -> None:
    clips = listed(f"s3://{BUCKET}/{path}")
    assert [request.source_id for request in clips.requests] == [
        *("in/a.mp4", "in/b ä+%.mp4", "in/a.mp4", "none.mp4")
    ]
    a, b, c, d = (fetch_clip(request, clips.source, clips.fetch) for request in clips.requests)
    assert (a.media, b.media) == (store.held["set/in/a.mp4"], store.held["set/in/b ä+%.mp4"])
    # A section stays where it is.
    assert (c.media, c.path, c.start_s) == (None, f"s3://{BUCKET}/set/in/a.mp4", 0.5)
    assert (d.error, d.message) == ("missing_file", f"no such object: s3://{BUCKET}/set/none.mp4")


def test_clips_decode_as_those_of_a_disk_do(store: ObjectStore, tmp_path: Path) -> None:
    for key, data in store.held.items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(data)
    for media in ("copy", "in_place"):
        here, there = listed(str(tmp_path / "set"), media), listed(f"s3://{BUCKET}/set", media)
        for one, other in zip(here.requests, there.requests, strict=True):
            pair = [
                decode_clip(fetch_clip(request, "folder", clips.fetch), FORM, Limits())
                for request, clips in ((one, here), (other, there))
            ]
            assert (pair[0].pcm, pair[0].frames) == (pair[1].pcm, pair[1].frames)
            assert (pair[0].status, pair[0].error) == (pair[1].status, pair[1].error)


def test_a_changed_object_changes_its_locator(store: ObjectStore) -> None:
    before = listed(f"s3://{BUCKET}/set").requests[0]
    store.held["set/in/a.mp4"] += b"\0"
    assert listed(f"s3://{BUCKET}/set").requests[0].locator != before.locator


def test_a_list_on_a_disk_names_objects(store: ObjectStore, tmp_path: Path) -> None:
    rows = f"a,s3://{BUCKET}/set/in/a.mp4,x,train,,\nb,S3://{BUCKET}/set/in/a.mp4,x,train,,\n"
    (tmp_path / "labels.csv").write_text(LIST + rows, encoding="utf-8")
    clips = listed(str(tmp_path))
    assert len({request.source_id for request in clips.requests}) == 1
    assert clips.fetch(clips.requests[1]).media == store.held["set/in/a.mp4"]


def test_a_path_leads_out_of_the_folder_as_on_a_disk(store: ObjectStore) -> None:
    store.held["media/a.mp4"] = store.held["set/in/a.mp4"]
    rows = "a,../media/a.mp4,x,train,,\nb,../set/in/a.mp4,x,train,,\nc,in/a.mp4,x,train,,\n"
    store.held["set/labels.csv"] = (LIST + rows).encode()
    clips = listed(f"s3://{BUCKET}/set")
    a, b, c = clips.requests
    assert a.locator["path"] == f"s3://{BUCKET}/media/a.mp4"
    assert clips.fetch(a).media == store.held["media/a.mp4"]
    assert b.source_id == c.source_id


def test_no_path_leads_out_of_the_bucket(store: ObjectStore) -> None:
    store.held["set/labels.csv"] = (LIST + "a,in/../../../other/a.mp4,x,train,,\n").encode()
    with pytest.raises(UserError, match=r"line 2: .*other/a\.mp4 leads out of the bucket"):
        listed(f"s3://{BUCKET}/set")


@pytest.mark.parametrize("name", ["{}.mp4", "Y{}_30.000_40.000.mp4"])
def test_a_mirror(store: ObjectStore, name: str) -> None:
    media = store.held["set/in/a.mp4"]
    for number, video in enumerate(IDS[:2]):
        store.held[f"mirror/{number}/{name.format(video)}"] = media
    lists = {"balanced_train": line(IDS[0], 30, 40, MIDS[0]), "eval": line(IDS[1], 30, 40, MIDS[0])}
    store.held["lists/class_labels_indices.csv"] = CLASSES.encode()
    for key, text in lists.items():
        store.held[f"lists/{key}_segments.csv"] = (HEADER + text).encode()
    data = data_params("audioset", None, mirror=f"s3://{BUCKET}/mirror", mirror_holds="auto")
    clips = clip_list(data.model_copy(update={"path": f"s3://{BUCKET}/lists"}), seed=0)
    fetched = clips.fetch(clips.requests[0])
    assert fetched.media == media
    assert len({str(request.locator["path"]) for request in clips.requests}) == 2


def test_a_plan_looks_at_what_is_there(store: ObjectStore) -> None:
    params = load(ROOT / "params.yaml")
    clips = listed(f"s3://{BUCKET}/set", "in_place")
    there, looked_up = availability(clips, None, 0.5, 0)  # type: ignore[arg-type]
    assert (there.tolist(), looked_up) == ([True, True, True, False], True)
    rates = measure(clips, there, params, 3, 0)
    assert rates is not None
    assert rates.measured == 3


# What fails.


@pytest.mark.parametrize("status", [503, CUT, SHORT])
def test_what_passes_by_itself_is_tried_again(store: ObjectStore, status: int) -> None:
    store.held["a"] = bytes(range(1, 200))
    # The first request asks what the object is like, the second for its bytes.
    store.faults["a"] = Fault(status, 2)
    assert stores.read(f"s3://{BUCKET}/a") == store.held["a"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, "store_denied"), *((fault, "store_failed") for fault in (500, CUT, SHORT))],
)
def test_an_object_that_cannot_be_had(store: ObjectStore, status: int, kind: str) -> None:
    clips = listed(f"s3://{BUCKET}/set")
    for number in (0, 2):
        request = clips.requests[number]
        fetched = None
        if number:
            fetched = fetch_clip(request, "folder", clips.fetch)
        store.faults["set/in/a.mp4"] = Fault(status, 1000)
        row = fetched or fetch_clip(request, "folder", clips.fetch)
        # A section fails when it is decoded: until then nobody looks into its file.
        found = decode_clip(row, FORM, Limits())
        assert (found.status, found.error) == ("failed", kind)
        assert found.message
        assert "\n" not in found.message
        assert "s3://clips/set/in/a.mp4" in found.message
        store.faults.clear()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("s3://clips/none", "no such object: s3://clips/none"),
        ("s3://other/set", "no such bucket"),
        ("s3://clips/set/in", "no list"),
        ("s3://key:secret@clips/set", "credentials belong in the environment"),
        ("s3://", "no s3://bucket/key"),
    ],
)
def test_a_list_that_is_not_there(store: ObjectStore, path: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        listed(path)
    assert "secret" not in str(error.value).replace("data.path=s3://key:secret@clips/set", "")


def test_a_listing_that_fails(store: ObjectStore) -> None:
    store.faults[""] = Fault(403, 1000)
    with pytest.raises(UserError, match=r"data\.path=s3://clips/set: .*s3://clips/set"):
        listed(f"s3://{BUCKET}/set")


def test_reading_an_object_gives_all_or_fails(store: ObjectStore) -> None:
    data = np.random.default_rng(0).bytes(3 << 20)
    store.held["large"] = data
    with stores.opened(f"s3://{BUCKET}/large") as file:
        assert file.read() == data
        file.seek(0, io.SEEK_END)
        assert file.tell() == len(data)
    with pytest.raises(stores.StoreError, match="no such object"):
        stores.read(f"s3://{BUCKET}/set")


def test_a_packed_object_is_read_as_it_is(store: ObjectStore) -> None:
    store.held["a.gz"] = gzip.compress(b"abcd")
    assert stores.read(f"s3://{BUCKET}/a.gz") == store.held["a.gz"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", [500, STALLED])
def test_a_request_is_tried_three_times(
    store: ObjectStore, fault: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "SILENCE_S", 1.0)
    store.held["a"] = b"abcd"
    store.faults["a"] = Fault(fault, 1000)
    store.asked.clear()
    with pytest.raises(stores.StoreError, match=f"^.*AWS Error.*: s3://{BUCKET}/a$") as failed:
        stores.read(f"s3://{BUCKET}/a")
    assert failed.value.kind == "store_failed"
    assert store.asked["GET" if fault == STALLED else "HEAD", "a"] == 3


@pytest.mark.parametrize("last", [0x00, 0xA5, 0x5A, 0x3C, 0xFF])
@pytest.mark.parametrize("size", [0, 1, (1 << 20) + 1])
def test_whatever_an_object_ends_with_it_is_read_whole(
    store: ObjectStore, size: int, last: int
) -> None:
    store.held["a"] = bytes([last]) * size
    assert stores.read(f"s3://{BUCKET}/a") == store.held["a"]


class Disk(io.BytesIO):
    """A local copy: `before` is called before anything is written, a few bytes at a time."""

    def __init__(self, before: Callable[[], None]) -> None:
        super().__init__()
        self._before = before

    def write(self, data: Any) -> int:
        self._before()
        return super().write(memoryview(data)[:1000])


def test_a_full_disk_is_no_fault_of_the_store(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    clips = listed(f"s3://{BUCKET}/set")
    monkeypatch.setattr(stores, "TemporaryFile", lambda buffering: Disk(full))
    with pytest.raises(OSError, match="No space left"):
        fetch_clip(clips.requests[0], clips.source, clips.fetch)


def test_a_disk_may_take_a_part_at_a_time(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "TemporaryFile", lambda buffering: Disk(lambda: None))
    assert stores.read(f"s3://{BUCKET}/set/in/a.mp4") == store.held["set/in/a.mp4"]


@pytest.mark.parametrize("changed", [b"b" * 5000, b"a" * 4999])
def test_an_object_that_changes_while_it_is_read(
    store: ObjectStore, changed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.held["a"] = b"a" * 5000
    disk = Disk(lambda: store.held.update(a=changed))
    monkeypatch.setattr(stores, "TemporaryFile", lambda buffering: disk)
    with pytest.raises(stores.StoreError, match=f"changed while it was read: s3://{BUCKET}/a"):
        stores.read(f"s3://{BUCKET}/a")


def test_an_endpoint_of_s3_alone_comes_first(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert stores.read(f"s3://{BUCKET}/set/labels.csv") == store.held["set/labels.csv"]


def test_without_an_endpoint_the_region_is_the_bucket_s(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(bucket: str) -> str:
        raise OSError(f"{bucket} has no region")

    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setattr(stores, "resolve_s3_region", failing)
    with pytest.raises(stores.StoreError, match=f"^{BUCKET} has no region: s3://{BUCKET}/a$"):
        stores.find(f"s3://{BUCKET}/a")


def test_an_unknown_address_is_refused_in_the_list(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(LIST + "a,https://x/a.mp4,x,train,,\n", encoding="utf-8")
    with pytest.raises(UserError, match="s3:// and gs:// addresses"):
        listed(str(tmp_path))
