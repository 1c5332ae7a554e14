"""A start by torchvision's name: fetched once, its hash compared, or one line on what to do."""

import hashlib
import shutil
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from mmlib.params.training import FRESH
from mmlib.params.whole import published
from mmlib.params.whole.file import check, load
from mmlib.runtime.errors import UserError
from stages import params as stage
from tests.conftest import ROOT
from tests.params.test_params import load_changed
from tools import profiles

HELD = b"what torchvision publishes"
NAME = f"r2plus1d_18-{hashlib.sha256(HELD).hexdigest()[:8]}.pth"
URL = f"https://example.org/models/{NAME}"
KEY = "train.video.video_start"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that asks for torchvision's start, and an empty cache of torch's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    shutil.copytree(ROOT / "data/none", tmp_path / "data/none")
    (tmp_path / "data/guides").mkdir()
    for name in ("none.json", "blend_reference.json"):
        shutil.copy(ROOT / "data/guides" / name, tmp_path / "data/guides" / name)
    path = Path(shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml"))
    profiles.apply("paper", ROOT / "profiles", path)
    text = path.read_text(encoding="utf-8")
    fresh, named = (f"video_start: {file}" for file in (FRESH, published.R2PLUS1D_18))
    start = text.index("\n  video:\n", text.index("\ntrain:\n"))
    path.write_text(text[:start] + text[start:].replace(fresh, named, 1), encoding="utf-8")
    return tmp_path


def site(monkeypatch: pytest.MonkeyPatch, held: bytes | Exception) -> list[str]:
    """A stand-in for the network, in the place of torch.hub's download; the addresses asked for."""
    asked: list[str] = []

    def download(url: str, target: str, hash_prefix: str) -> None:
        asked.append(url)
        if isinstance(held, Exception):
            raise held
        digest = hashlib.sha256(held).hexdigest()
        if not digest.startswith(hash_prefix):
            raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest}")')
        Path(target).write_bytes(held)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    monkeypatch.setattr(published, "address", lambda: URL)
    return asked


def test_torchvision_still_publishes_it_under_a_name_with_its_hash() -> None:
    assert published.address().rpartition("/")[2] == "r2plus1d_18-91a641e6.pth"


def test_the_file_is_fetched_once_before_dvc_looks_for_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = site(monkeypatch, HELD)
    with pytest.raises(UserError, match=rf"{KEY} names .* is not there: `dvc repro -f params`"):
        check()
    stage.main([])
    assert (project / published.R2PLUS1D_18).read_bytes() == HELD
    assert load().train["video"].starts == {"video": published.R2PLUS1D_18}
    check()
    stage.main([])
    assert asked == [URL]
    # What torch's cache holds is not fetched again, unless it is another file.
    (project / published.R2PLUS1D_18).unlink()
    stage.main([])
    assert asked == [URL]
    (project / published.R2PLUS1D_18).unlink()
    (project / "hub/checkpoints" / NAME).write_bytes(HELD[:-1])
    stage.main([])
    assert asked == [URL, URL]
    assert (project / published.R2PLUS1D_18).read_bytes() == HELD


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (URLError("no route to host"), r"\(.*no route to host.*\)"),
        (TimeoutError(), r"\(TimeoutError\)"),
        (b"a page that asks for a password", r"\(invalid hash value .*\)"),
    ],
)
def test_offline_one_line_says_what_to_download_to_where(
    project: Path, monkeypatch: pytest.MonkeyPatch, held: bytes | Exception, said: str
) -> None:
    site(monkeypatch, held)
    with pytest.raises(UserError, match=f"cannot be fetched {said}") as caught:
        stage.main([])
    line = str(caught.value)
    assert f"{KEY} is {published.R2PLUS1D_18}" in line
    assert f"download {URL} elsewhere and put it there, or set {KEY} to where it is" in line
    assert "\n" not in line
    assert not (project / published.R2PLUS1D_18).exists()
    assert not (project / "data/checked.txt").exists()
    # Who puts it there needs no network.
    (project / published.FOLDER).mkdir(parents=True)
    (project / published.R2PLUS1D_18).write_bytes(HELD)
    stage.main([])


def test_nobody_else_fetches(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = site(monkeypatch, HELD)
    shutil.copy(ROOT / "params.yaml", project / "params.yaml")
    stage.main([])
    assert not asked
    assert not (project / published.FOLDER).exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"train.video.video_start": "data/torchvision/r2plus1d_18.pth"},
            "set model.r2plus1d.width to 64 and blocks to 2, 2, 2, 2",
        ),
        (
            {"train.audio.audio_start": "data/torchvision/r2plus1d_18.pth"},
            "a video net, not csn",
        ),
        (
            {"train.video.video_start": "torchvision:r2plus1d_18"},
            "write data/torchvision/r2plus1d_18.pth",
        ),
    ],
)
def test_what_cannot_fit_is_said_before_anything_is_fetched(
    tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_changed(tmp_path, changes)
    assert said in str(caught.value)
