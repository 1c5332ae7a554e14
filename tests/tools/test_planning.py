"""The plan: what it says of a mirror is so, and a list of two million clips is planned quickly."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmlib.params.shard import Shard
from mmlib.params.whole.file import Params, load
from mmlib.shards.rows.clips import SPLITS
from mmlib.sources import audioset, folder
from mmlib.sources.columns import columns_of
from tests.conftest import ROOT
from tests.samples import media, small_rows, write_folder
from tests.sources.video_lists import HEADER, IDS, MIDS, NAMES, data_params, line, write_lists
from tools import profiles
from tools.planning import (
    Rates,
    availability,
    losses,
    measure,
    plan,
)

MIB = 1 << 20


def settings() -> Params:
    """The project's own params."""
    return load(ROOT / "params.yaml")


def with_shard(params: Params, changes: dict[str, Any]) -> Params:
    """The same params with other values in section shard."""
    values = params.shard.model_dump()
    values["video"] |= changes.pop("video", {})
    return params.model_copy(update={"shard": Shard.model_validate({**values, **changes})})


@pytest.fixture
def holed(tmp_path: Path) -> Path:
    """Lists of 12 training and 2 eval clips of 2 s, and a mirror with 7 and 1 of them."""
    train = "".join(line(f"train{n:06d}", 0, 2, MIDS[n % 3], MIDS[0]) for n in range(12))
    write_lists(tmp_path, train, "".join(line(video, 0, 2, MIDS[1]) for video in IDS[:2]))
    (tmp_path / "mirror").mkdir()
    for name in (*(f"train{n:06d}_0" for n in range(7)), f"{IDS[1]}_0_2"):
        (tmp_path / "mirror" / f"{name}.mp4").write_bytes(media(2.0))
    return tmp_path


def test_what_a_mirror_holds_is_looked_up(holed: Path) -> None:
    clips = audioset.clip_list(data_params("audioset", holed, mirror=str(holed / "mirror")), 0)
    columns = columns_of(clips.requests, clips.classes)
    there, looked_up = availability(clips, columns, 0.1, seed=0)
    assert looked_up
    assert there.tolist() == [n < 7 or n == 13 for n in range(14)]
    rates = measure(clips, there, settings(), 3, seed=0)
    assert rates is not None
    assert rates.measured == 3
    assert rates.media_kb == pytest.approx(len(media(2.0)) / 1000)
    assert rates.decode_s > 0
    table = {name: rest for name, *rest in losses(columns, there, clips.classes)}
    carved = columns.splits == SPLITS.index("val")
    trained = sum(there[n] and not carved[n] for n in range(12))
    assert table[NAMES[0]] == [12, 5, trained]
    assert table[NAMES[1]] == [6, 3, sum(there[n] and not carved[n] for n in range(1, 12, 3))]


def test_without_a_mirror_the_case_is_made_up(holed: Path) -> None:
    clips = audioset.clip_list(data_params("audioset", holed), 0)
    columns = columns_of(clips.requests, clips.classes)
    for share, count in ((0.0, 0), (1.0, 14)):
        there, looked_up = availability(clips, columns, share, seed=0)
        assert (there.sum(), looked_up) == (count, False)
    half = availability(clips, columns, 0.5, seed=0)[0]
    assert np.array_equal(half, availability(clips, columns, 0.5, seed=0)[0])


def test_what_jpeg_leaves_of_the_frames_is_measured(holed: Path) -> None:
    clips = audioset.clip_list(data_params("audioset", holed, mirror=str(holed / "mirror")), 0)
    there = np.arange(14) < 3
    shares = []
    for quality in (50, 95):
        params = with_shard(settings(), {"video": {"jpeg_quality": quality}})
        rates = measure(clips, there, params, 1, seed=0)
        assert rates is not None
        shares.append(rates.jpeg_share)
    assert 0 < shares[0] < shares[1] < 1.5


def test_a_folder_is_looked_through(tmp_path: Path) -> None:
    root = write_folder(tmp_path, small_rows())
    (root / "train1.mp4").unlink()
    (root / "train2.mp4").write_bytes(b"no media")
    clips = folder.clip_list(data_params("events", root), 0)
    there, looked_up = availability(clips, columns_of(clips.requests, clips.classes), 0.1, 0)
    assert looked_up
    assert there.sum() == 8
    rates = measure(clips, there, settings(), 100, seed=0)
    assert rates is not None
    assert rates.measured == 7


def test_the_figures_of_a_stage(holed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMLIB_WORKERS", "2")
    clips = audioset.clip_list(data_params("audioset", holed), 0)
    columns = columns_of(clips.requests, clips.classes)
    params = settings()
    there = np.ones(14, bool)
    download, decode, shard = plan(columns, there, 3, params, Rates(100.0, 0.5, 2.0))
    # Up to 11 train, 1 val and 2 eval clips: a shard each.
    assert (download.shards, download.rows, download.bytes_most) == (3, 14, 1.4e6)
    assert (download.seconds, decode.seconds) == (3.5, 14.0)
    # 2 s at 16 kHz of int16, and 4 pictures of 40 x 40.
    assert decode.bytes_most == 14 * (2 * 2 * 16000 + 4 * 3 * 40 * 40)
    clip = 50 * 64 * 2 + 4 * 3 * 32 * 32 + 3
    assert shard.bytes_most == 14 * clip + 2 * 2 * 48000
    # Waveforms of every split, and frames of which JPEG leaves a tenth.
    everything = with_shard(params, {"waveforms": "all", "video": {"jpeg_quality": 90}})
    shard = plan(columns, there, 3, everything, Rates(jpeg_share=0.1))[2]
    assert shard.bytes_most == pytest.approx(14 * (clip - 0.9 * 4 * 3 * 32 * 32 + 2 * 48000))
    in_place = params.model_copy(update={"data": data_params("audioset", holed, "in_place")})
    assert plan(columns, there, 3, in_place, Rates())[0].bytes_most == 0


def _planned(folder: Path, *arguments: str) -> tuple[str, int]:
    """What the tool prints in a folder with a params.yaml, and its peak memory in bytes."""
    code = (
        "import re; from pathlib import Path; from mmlib.runtime import stage;"
        "from tools.plan import main;"
        "stage.run(main, check=False); status = Path('/proc/self/status').read_text();"
        # Not ru_maxrss: that of a process begins at the size of the one that started it.
        "print(int(re.search(r'VmHWM:\\s+(\\d+) kB', status)[1]) * 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *lines, peak = done.stdout.splitlines()
    return "\n".join(lines), int(peak)


def _project(folder: Path, chosen: str, **replaced: str) -> Path:
    """A params.yaml with some profiles and some lines replaced."""
    path = Path(shutil.copy(ROOT / "params.yaml", folder / "params.yaml"))
    profiles.apply(chosen, ROOT / "profiles", path)
    text = path.read_text(encoding="utf-8")
    for key, value in replaced.items():
        old = next(row for row in text.splitlines() if row.strip().startswith(f"{key}:"))
        text = text.replace(old, f"{old.split(':')[0]}: {value}", 1)
    path.write_text(text, encoding="utf-8")
    return folder


def test_the_tool_plans_and_changes_nothing(holed: Path) -> None:
    _project(holed, "audioset", path=str(holed), mirror=str(holed / "mirror"))
    before = sorted(path for path in holed.rglob("*"))
    text, _ = _planned(holed)
    assert sorted(path for path in holed.rglob("*")) == before
    assert "audioset: 14 clips" in text
    assert "to be had: 8, missing: 6 or 42.9% (looked up)" in text
    assert "download would stop: more than data.max_failed_share=0.4" in text
    assert "measured on 8 clips" in text
    assert f"  50.0% of         4  {NAMES[2]} (" in text
    # 7 clips less those lent to val, in batches of 32: one step an epoch.
    assert re.search(r"^audio +6 +(\d+) ", text, re.MULTILINE)
    assert re.search(r"steps measured: 2, of 2 clips: csn [\d.,e+]+ clips/s, r2plus1d", text)
    text, _ = _planned(holed, "--clip-kb", "1000", "--sample", "0", "--steps", "0")
    assert "clips/s" not in text
    assert "1,000 kB of media" in text
    assert "assumed, not measured" in text


def _write_unbalanced(path: Path, clips: int) -> None:
    """A list as long as AudioSet's, in its form: ids of all its letters, 1 to 15 mids a line."""
    rng = np.random.default_rng(0)
    letters = np.frombuffer(
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", "S1"
    )
    ids = np.unique(letters[rng.integers(0, 64, (clips, 11))].view("S11").ravel())
    assert len(ids) == clips
    mids = [f"/m/{n:05x}" for n in range(527)]
    counts = np.minimum(rng.geometric(0.45, clips), 15)
    weights = 1 / np.arange(1, 528)
    drawn = rng.choice(527, int(counts.sum()), p=weights / weights.sum()).tolist()
    starts = (rng.integers(0, 60, clips) * 10).tolist()
    place = 0
    with path.open("w", encoding="utf-8") as stream:
        stream.write(HEADER)
        for video, start, count in zip(ids.tolist(), starts, counts.tolist(), strict=True):
            named = ",".join(mids[n] for n in dict.fromkeys(drawn[place : place + count]))
            place += count
            stream.write(f'{video.decode()}, {start}.000, {start + 10}.000, "{named}"\n')


@pytest.mark.slow
def test_the_whole_of_audioset_is_planned_in_a_minute_and_two_gigabytes(tmp_path: Path) -> None:
    classes = "index,mid,display_name\n" + "".join(
        f'{n},/m/{n:05x},"Class {n}, and more"\n' for n in range(527)
    )
    write_lists(tmp_path, line(IDS[0], 0, 10, "/m/00000"), line(IDS[2], 0, 10, "/m/00001"), classes)
    _write_unbalanced(tmp_path / "unbalanced_train_segments.csv", 2_041_789)
    _project(tmp_path, "audioset paper", path=str(tmp_path), train="unbalanced")
    # CPU time: the wall's depends on what else runs.
    begin = os.times().children_user
    text, peak = _planned(tmp_path, "--steps", "0")
    spent = os.times().children_user - begin
    assert "audioset: 2,041,790 clips" in text
    assert "(made up: each with chance 0.85, --available)" in text
    # A minute where the csv module alone needs two and a half seconds for the same list.
    begin = os.times().user
    with (tmp_path / "unbalanced_train_segments.csv").open(encoding="utf-8") as stream:
        assert sum(len(row) > 3 for row in csv.reader(stream, skipinitialspace=True)) > 2_000_000
    read = os.times().user - begin
    assert spent < 25 * read
    assert peak < 2048 * MIB
