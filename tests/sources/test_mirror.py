"""The mirror: every naming scheme, the best of several files, and nothing that only looks right."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.runtime.errors import UserError
from mmlib.sources.mirror import Mirror, index
from tests.sources.video_lists import IDS


def touch(root: Path, *names: str) -> Mirror:
    """A mirror of empty files."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return index(str(root), 11)


def find(mirror: Mirror, video: str, start: float = 30.0, end: float = 40.0) -> str | None:
    """Path of one section below the root, None when it is not there."""
    times = (np.array([round(seconds * 1000)]) for seconds in (start, end))
    number = mirror.find(np.array([video.encode()]), *times)[0]
    root = f"{mirror.folders[0]}/"
    return None if number < 0 else mirror.path(int(number)).removeprefix(root)


@pytest.mark.parametrize("video", IDS)
@pytest.mark.parametrize(
    "name",
    [
        "{}.mp4",
        "Y{}.wav",
        "{}_30_40.mp4",
        "{}_30.000_40.000.mkv",
        "{}_30.0_40.0.MP4",
        "{}_30000_40000.webm",
        "{}_000030_000040.mp4",
        "{}_000030.mp4",
        "{}_30.flac",
        "{}_30.0-40.0.wav",
        "Y{}-30-40.mp4",
        "{}_30000.m4a",
        "Y{}_30.000_40.000.wav",
        "train/Speech, a b/-a/{}.mp4",
        "train/playing_organ/{}_000030_000040.mp4",
    ],
)
def test_every_scheme(tmp_path: Path, video: str, name: str) -> None:
    others = ("zzzzzzzzzzz.mp4", "zzzzzzzzzzz_30_40.mp4", "README.md", "notes.mp4.part")
    mirror = touch(tmp_path, name.format(video), *others)
    assert find(mirror, video) == name.format(video)
    timed = "30" in name.replace("{}", "")
    number = mirror.find(np.array([video.encode()]), np.array([30000]), np.array([40000]))[0]
    assert mirror.is_section(int(number)) == timed
    if timed:
        assert find(mirror, video, 50.0, 60.0) is None


@pytest.mark.parametrize(
    "name",
    [
        "{}_50_60.mp4",
        "{}_30_45.mp4",
        "{}_31.mp4",
        "{}_29.9_39.9.mp4",
        "{}.txt",
        "{}",
        "{}_30_40_50.mp4",
        "x{}.mp4",
        "{}--30_40.mp4",
        "{}.f137.mp4",
    ],
)
def test_what_only_looks_right(tmp_path: Path, name: str) -> None:
    assert find(touch(tmp_path, name.format(IDS[0])), IDS[0]) is None


def test_the_best_of_several_files(tmp_path: Path) -> None:
    video = IDS[0]
    # Best first.
    names = [
        f"z/{video}_30_40.mp4",
        f"b/{video}_30.000_40.000.webm",
        f"c/{video}_30_40.webm",
        f"a/{video}_30_40.wav",
        f"{video}_000030.mp4",
        f"{video}.mp4",
        f"{video}.wav",
    ]
    while names:
        mirror = touch(tmp_path, *names)
        assert find(mirror, video) == names[0]
        (tmp_path / names.pop(0)).unlink()


def test_names_with_cut_or_rounded_seconds(tmp_path: Path) -> None:
    mirror = touch(tmp_path, f"{IDS[0]}_202_212.mp4", f"{IDS[2]}_203_213.mp4")
    assert find(mirror, IDS[0], 202.7, 212.7) == f"{IDS[0]}_202_212.mp4"
    assert find(mirror, IDS[2], 202.7, 212.7) == f"{IDS[2]}_203_213.mp4"


def test_ids_of_other_lengths(tmp_path: Path) -> None:
    mirror = touch(tmp_path, "clip_3.mp4", "clip-5.mp4", "kitchen_30_40.mp4", "other.mp4")
    assert find(mirror, "clip_3") == "clip_3.mp4"
    assert find(mirror, "clip-5") == "clip-5.mp4"
    assert find(mirror, "kitchen") == "kitchen_30_40.mp4"
    assert find(mirror, "other") == "other.mp4"
    assert find(mirror, "clip_4") is None


@given(st.from_regex(r"[A-Za-z0-9_-]{11}", fullmatch=True), st.integers(0, 600_000))
def test_any_id_and_time_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, video: str, start_ms: int
) -> None:
    start, end = start_ms / 1000, start_ms / 1000 + 10
    mirror = touch(tmp_path_factory.mktemp("m"), f"{video}_{start:.3f}_{end:.3f}.mp4")
    assert find(mirror, video, start, end) is not None
    assert find(mirror, video, start + 0.001, end + 0.001) is None


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    touch(elsewhere, f"{IDS[0]}.mp4")
    root.mkdir()
    (root / "linked").symlink_to(elsewhere)
    (elsewhere / "up").symlink_to(root)
    mirror = index(str(root), 11)
    assert len(mirror) == 1
    assert find(mirror, IDS[0]) == f"linked/{IDS[0]}.mp4"


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent: no such folder"):
        index(str(tmp_path / "absent"), 11)
    assert len(index(str(tmp_path), 11)) == 0
    assert find(touch(tmp_path), IDS[0]) is None
