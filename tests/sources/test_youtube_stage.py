"""Stage download with a site that begins to refuse: the stage ends, nothing is lost, it goes on."""

from functools import partial
from pathlib import Path

import pytest

from mmlib.runtime.errors import UserError
from mmlib.shards.rows.clips import (
    read_clips,
    shard_paths,
)
from mmlib.shards.rows.tally import Ledger
from mmlib.sources.base import ClipList, Request
from mmlib.sources.download import download
from mmlib.sources.youtube.fetch import Site, fetch
from tests.sources.video_site import VideoSite, video_site

pytest.importorskip("yt_dlp", reason="yt-dlp is absent: pip install '.[youtube]'")
pytestmark = pytest.mark.slow


def fetched(site: VideoSite, folder: Path) -> Ledger:
    """Nine clips, one a shard, from the site."""
    requests = [
        Request(
            f"{split}{i}", f"{split}{i}", split, ("ab"[i % 2],), 1.0 + i, 2.0 + i,
            {"video": f"ok-{split}-{i}".ljust(11, "_")},
        )
        for split in ("train", "val", "eval")
        for i in range(3)
    ]  # fmt: skip
    function = partial(fetch, site=Site(url=site.url, keep="keep", height=360, copy=True))
    clips = ClipList("made_up", ("a", "b"), "multi_label", requests, function)
    return download(
        clips, folder / "clips", shard_clips=1, max_failed_share=0.0,
        scratch_root=folder / "scratch",
    )  # fmt: skip


def test_a_refusing_site_ends_the_stage_and_no_row_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    quick = {"VISITS_PER_S": "1000", "BACKOFF_S": "0", "REFUSALS": "3", "COOLDOWN_S": "0.1"}
    for name, value in (quick | {"COOLDOWNS": "2", "ATTEMPTS": "9"}).items():
        monkeypatch.setenv(f"MMLIB_YOUTUBE_{name}", value)
    with video_site() as site:
        refused = "ok-val-1___"
        site.plans[refused] = ["s403"] * 50
        with pytest.raises(UserError, match=r"5 visits in a row \(refused: .*kept"):
            fetched(site, tmp_path)
        assert not (tmp_path / "clips").exists()
        assert len(site.visits[refused]) == 5
        # The site answers again; another run begins with one visit to see.
        site.plans.clear()
        monkeypatch.setattr("mmlib.sources.youtube.gate._run", lambda: 1)
        assert not fetched(site, tmp_path).failures
        rows = [row for path in shard_paths(tmp_path / "clips") for row in read_clips(path)]
        assert [row.status for row in rows] == ["ok"] * 9
        assert {len(times) for video, times in site.visits.items() if video != refused} == {1}
        # A larger subset, other code, a new machine: what is kept is not fetched again.
        (tmp_path / "clips").rename(tmp_path / "before")
        visits = len(site.times)
        fetched(site, tmp_path)
        assert len(site.times) == visits
        again = [row for path in shard_paths(tmp_path / "clips") for row in read_clips(path)]
        assert [row.sha256 for row in again] == [row.sha256 for row in rows]
