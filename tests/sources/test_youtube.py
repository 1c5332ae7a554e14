"""Fetching sections with yt-dlp from a site on loopback: every outcome, no hang, nothing twice."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mmlib.media.decode import decode
from mmlib.media.graph import Form
from mmlib.runtime.errors import UserError
from mmlib.sources.base import Fetched, FetchError, Request
from mmlib.sources.youtube.fetch import Site, fetch, kept_path
from tests.moments import wait_until
from tests.samples import LIMITS, RATE_HZ, numbers
from tests.sources.video_site import FPS, VideoSite, video_site

pytest.importorskip("yt_dlp", reason="yt-dlp is absent: pip install '.[youtube]'")


@pytest.fixture(scope="module")
def shared_site() -> Iterator[VideoSite]:
    with video_site() as site:
        yield site


@pytest.fixture
def web(shared_site: VideoSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VideoSite:
    """The site, no visits counted yet; the state of the gate in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    shared_site.visits.clear()
    shared_site.plans.clear()
    shared_site.cookies.clear()
    quick = {"VISITS_PER_S": "1000", "BACKOFF_S": "0.05", "STALL_S": "300"}
    for name, value in quick.items():
        monkeypatch.setenv(f"MMLIB_YOUTUBE_{name}", value)
    return shared_site


def got(web: VideoSite, video: str, start_s: float = 2.3, end_s: float = 4.3) -> Fetched:
    """Fetch a section; ids are filled up to their length."""
    request = Request("clip", video, "train", (), start_s, end_s, {"video": video.ljust(11, "_")})
    return fetch(request, Site(url=web.url, keep="keep", height=360, copy=False))


def failed(web: VideoSite, video: str, start_s: float = 2.3, end_s: float = 4.3) -> FetchError:
    """Fetch a section that cannot be had."""
    with pytest.raises(FetchError) as caught:
        got(web, video, start_s, end_s)
    assert not list(Path("keep").glob("*.mp4"))
    assert not list(Path("keep/.partial").iterdir())
    return caught.value


def test_the_section_is_cut_exactly_and_kept(web: VideoSite) -> None:
    fetched = got(web, "ok")
    assert fetched.path == Path("keep/ok__________2300_4300.mp4").absolute()
    assert (fetched.start_s, fetched.end_s, fetched.attempts) == (None, None, 1)
    # Sampled half a frame late, where no rounding of times can matter.
    decoded = decode(fetched.path, Form(RATE_HZ, FPS, 32), LIMITS)
    assert decoded.frames is not None
    assert decoded.pcm is not None
    expected = [int((2.3 + index / FPS) * FPS + 0.5) for index in range(16)]
    assert abs(len(decoded.frames) - 16) <= 1
    assert all(
        abs(int(found) - wanted) <= 1
        for found, wanted in zip(numbers(decoded.frames), expected, strict=False)
    )
    assert abs(len(decoded.pcm) - 2 * RATE_HZ) < 0.1 * RATE_HZ
    before = fetched.path.read_bytes()
    assert got(web, "ok").path == fetched.path
    assert fetched.path.read_bytes() == before
    assert len(web.visits["ok_________"]) == 1


def test_what_the_project_keeps_is_not_fetched_for_a_copy_of_it(
    web: VideoSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC copies the project without its media for queued experiments."""
    copy = tmp_path / ".dvc/tmp/exps/tmp1"
    copy.mkdir(parents=True)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    for folder in (tmp_path, copy):
        monkeypatch.chdir(folder)
        assert got(web, "ok").path == tmp_path / "keep/ok__________2300_4300.mp4"
    assert len(web.visits["ok_________"]) == 1
    # One pace for both.
    assert (tmp_path / "scratch/youtube/gate.json").is_file()
    assert list(copy.iterdir()) == []


@pytest.mark.parametrize(
    ("video", "kind"),
    [
        ("s404", "gone"),
        ("s410", "gone"),
        ("s451", "region_blocked"),
        ("cut404", "gone"),
    ],
)
def test_what_is_gone_is_asked_for_once(web: VideoSite, video: str, kind: str) -> None:
    error = failed(web, video)
    assert (error.kind, error.attempts) == (kind, 1)
    assert len(web.times) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("video", "kind", "attempts"),
    [
        ("s403", "refused", 1),
        ("cut403", "refused", 1),
        ("s429", "rate_limited", 2),
        ("s500", "server_error", 1),
        ("cut503", "server_error", 1),
        ("reset", "truncated", 2),
        ("short", "truncated", 1),
        ("stall", "truncated", 1),
    ],
)
def test_what_may_pass_is_tried_again(
    web: VideoSite, video: str, kind: str, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMLIB_YOUTUBE_ATTEMPTS", str(attempts))
    if video == "stall":
        # It answers the first request at once: only a machine that stands still takes so long.
        monkeypatch.setenv("MMLIB_YOUTUBE_STALL_S", "8")
    error = failed(web, video)
    assert (error.kind, error.attempts) == (kind, attempts)
    assert len(web.times) == attempts


def test_a_later_try_succeeds_after_the_wait_that_the_site_asks_for(web: VideoSite) -> None:
    web.plans["ok-later___"] = ["s429-2", "reset"]
    fetched = got(web, "ok-later")
    assert fetched.attempts == 3
    times = web.visits["ok-later___"]
    assert len(times) == 3
    assert times[1] - times[0] >= 2.0


def test_a_site_that_is_down(web: VideoSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMLIB_YOUTUBE_ATTEMPTS", "1")
    web_url = "http://127.0.0.1:9/{id}.mp4"
    request = Request("clip", "v", "train", (), 0.0, 1.0, {"video": "x" * 11})
    with pytest.raises(FetchError) as caught:
        fetch(request, Site(url=web_url, keep="keep", height=360, copy=True))
    assert caught.value.kind == "connection"


def test_a_section_after_the_end(web: VideoSite) -> None:
    assert failed(web, "ok-after", 100.0, 110.0).kind == "no_section"


@pytest.mark.slow
def test_a_slow_site_runs_into_the_time_limit_and_nothing_is_left_running(
    web: VideoSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMLIB_YOUTUBE_ATTEMPTS", "1")
    monkeypatch.setenv("MMLIB_YOUTUBE_TIMEOUT_S", "4")
    # The site holds the connection until the tests are over.
    assert failed(web, "stall-long").kind == "timeout"
    keep = str(Path("keep").absolute())
    wait_until(lambda: not _processes_with(keep))


def _processes_with(text: str) -> list[str]:
    """Command lines that hold the text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found


_FETCHER = """
from tests.sources.test_youtube import fetch, Request, Site
request = Request("clip", "v", "train", (), 0.0, 6.0, {{"video": {video!r}}})
fetch(request, Site(url={url!r}, keep="keep", height=360, copy=False))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc to look into")
def test_a_worker_that_is_killed_takes_its_visit_along(web: VideoSite) -> None:
    code = _FETCHER.format(video="stall______", url=web.url)
    root = Path(__file__).resolve().parent.parent.parent
    environment = os.environ | {"PYTHONPATH": str(root), "MMLIB_YOUTUBE_STALL_S": "3000"}
    worker = subprocess.Popen([sys.executable, "-c", code], env=environment)
    keep = str(Path("keep").absolute())
    wait_until(lambda: bool(_processes_with(keep)))
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    wait_until(lambda: not _processes_with(keep))
    wait_until(lambda: not list(Path("keep/.partial").iterdir()))


@pytest.mark.parametrize("video", ["short", "--exec=true", "a b c d e f", "../../../etc", "x" * 12])
def test_ids_are_checked_before_they_go_anywhere(web: VideoSite, video: str) -> None:
    request = Request("clip", video, "train", (), 0.0, 1.0, {"video": video})
    with pytest.raises(FetchError, match="bad_id"):
        fetch(request, Site(url=web.url, keep="keep", height=360, copy=False))
    assert not web.times


def test_an_id_like_an_option_is_a_name_all_the_same(web: VideoSite) -> None:
    web.plans["--exec=____".replace("=", "-")] = ["ok"]
    fetched = got(web, "--exec-____")
    assert fetched.path == kept_path("--exec-____", 2.3, 4.3, Path("keep").absolute())


def test_clips_of_other_settings_are_not_mixed(web: VideoSite) -> None:
    got(web, "ok")
    request = Request("clip", "v", "train", (), 2.3, 4.3, {"video": "ok_________"})
    with pytest.raises(UserError, match=r"other settings .* data\.youtube\.keep"):
        fetch(request, Site(url=web.url, keep="keep", height=720, copy=False))


def test_absent_yt_dlp_is_one_line(web: VideoSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install '\.\[youtube\]'"):
        got(web, "ok")


def test_fetch_travels_to_workers() -> None:
    function = partial(fetch, site=Site(url="http://x/{id}", keep="k", height=1, copy=True))
    assert pickle.dumps(pickle.loads(pickle.dumps(function))) == pickle.dumps(function)


def test_cookies_are_sent_and_the_file_is_left_alone(
    web: VideoSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookies = tmp_path / "cookies.txt"
    text = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tname\tvalue\n"
    cookies.write_text(text, encoding="utf-8")
    monkeypatch.setenv("MMLIB_YOUTUBE_COOKIES", str(cookies))
    assert got(web, "ok").attempts == 1
    assert "name=value" in web.cookies
    assert cookies.read_text(encoding="utf-8") == text
    monkeypatch.setenv("MMLIB_YOUTUBE_COOKIES", str(tmp_path / "none"))
    with pytest.raises(UserError, match="MMLIB_YOUTUBE_COOKIES"):
        got(web, "ok-more")
