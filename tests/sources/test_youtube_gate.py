"""The gate before the site: a pace that all processes share, and pauses when the site refuses."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmlib.runtime.errors import UserError
from mmlib.sources.youtube.child import read_limit
from mmlib.sources.youtube.gate import Gate
from mmlib.sources.youtube.outcomes import broken_off, classify
from mmlib.sources.youtube.pacing import Pacing, pacing
from tests.conftest import ROOT

QUICK = Pacing(visits_per_s=1000.0, refusals=3, cooldown_s=0.2, cooldowns=2, timeout_s=1.0)

_VISITOR = """
import sys, time
from pathlib import Path
from mmlib.sources.youtube.gate import Gate
from mmlib.sources.youtube.pacing import Pacing
gate = Gate(Path(sys.argv[1]), Pacing(visits_per_s=20.0))
for _ in range(8):
    gate.enter()
    print(time.time(), flush=True)
    gate.leave(None)
"""


def test_two_processes_share_one_pace(tmp_path: Path) -> None:
    visitors = [
        subprocess.Popen(
            [sys.executable, "-c", _VISITOR, tmp_path], stdout=subprocess.PIPE, cwd=ROOT
        )
        for _ in range(2)
    ]
    times = sorted(float(line) for v in visitors for line in v.communicate()[0].split())
    assert len(times) == 16
    # A visit begins after its turn, never before: any 10 of them take 9 intervals, less one that a
    # late visitor may have lost.
    for first, tenth in zip(times, times[9:], strict=False):
        assert tenth - first >= 8 / 20.0


def test_refusals_close_the_gate_and_an_answer_opens_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = Gate(tmp_path, QUICK)
    for _ in range(3):
        gate.enter()
        gate.leave("refused: HTTP Error 403")
    assert "3 visits in a row" in capsys.readouterr().err
    begin = time.monotonic()
    gate.enter()
    assert time.monotonic() - begin >= 0.2
    gate.leave(None)
    for _ in range(2):
        gate.enter()
        gate.leave("refused: again")
    begin = time.monotonic()
    gate.enter()
    assert time.monotonic() - begin < 0.15
    assert not capsys.readouterr().err


def test_answers_in_between_keep_it_open(tmp_path: Path) -> None:
    gate = Gate(tmp_path, QUICK)
    begin = time.monotonic()
    for _ in range(4):
        for outcome in ("refused: x", "refused: x", None):
            gate.enter()
            gate.leave(outcome)
    assert time.monotonic() - begin < 0.2


def test_one_visit_probes_while_others_wait(tmp_path: Path) -> None:
    gate, other = Gate(tmp_path, QUICK), Gate(tmp_path, QUICK)
    for _ in range(3):
        gate.enter()
        gate.leave("connection: reset")
    gate.enter()
    begin = time.monotonic()
    # The probe never comes back, as when its process is killed: after a while another one may.
    other.enter()
    assert time.monotonic() - begin >= QUICK.timeout_s


def test_the_stage_ends_after_so_many_pauses_and_the_next_run_probes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(tmp_path, QUICK)
    for _ in range(QUICK.refusals + QUICK.cooldowns):
        gate.enter()
        gate.leave("refused: bot")
    with pytest.raises(UserError, match=r"5 visits in a row \(refused: bot\).*kept.*COOKIES"):
        Gate(tmp_path, QUICK).enter()
    monkeypatch.setattr("mmlib.sources.youtube.gate._run", lambda: 1)
    later = Gate(tmp_path, QUICK)
    later.enter()
    later.leave("refused: bot")
    begin = time.monotonic()
    later.enter()
    assert time.monotonic() - begin >= 0.2


def test_a_state_that_a_kill_spoilt_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "gate.json").write_text('{"run": 1, "nex', encoding="utf-8")
    gate = Gate(tmp_path, QUICK)
    gate.enter()
    gate.leave(None)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("[youtube] x: Sign in to confirm you’re not a bot. Use --cookies", "refused"),
        ("[youtube] x: Sign in to confirm your age. This video may be", "age_restricted"),
        ("[youtube] x: Private video. Sign in if you've been granted access", "private"),
        ("Join this channel to get access to members-only content", "private"),
        ("[youtube] x: Video unavailable", "gone"),
        ("Video unavailable. This content isn't available, try again later.", "rate_limited"),
        ("Video unavailable. This video has been removed by the uploader", "gone"),
        ("The uploader has not made this video available in your country", "region_blocked"),
        ("Unable to download webpage: HTTP Error 403: Forbidden", "refused"),
        ("Unable to download API page: HTTP Error 503: Service Unavailable", "server_error"),
        ("Requested format is not available. Use --list-formats", "no_format"),
        ("Unable to download webpage: The read operation timed out", "stalled"),
        ("Unable to download webpage: [Errno 111] Connection refused", "connection"),
        ("Unable to extract initial player response; please report this issue", "extractor"),
    ],
)
def test_words_of_the_site_become_classes(message: str, kind: str) -> None:
    report = {"error": "DownloadError", "message": f"ERROR: {message}", "causes": []}
    assert classify(report, "WARNING: HTTP Error 429: Too Many Requests").kind == kind


def test_a_status_counts_more_than_words_and_retry_after_is_read() -> None:
    report = {"error": "E", "message": "Video unavailable", "status": 429, "retry_after": "7"}
    failure = classify(report, "")
    assert (failure.kind, failure.wait_s) == ("rate_limited", 7.0)
    report["retry_after"] = "Wed, 21 Oct 2026 07:28:00 GMT"
    assert classify(report, "").wait_s is None


def test_a_broken_input_shows_in_the_log_only() -> None:
    assert broken_off("[aac @ 0x1] [warning] Too many bits") is None
    failure = broken_off("[http @ 0x1] [error] Stream ends prematurely at 3, should be 9\n")
    assert failure is not None
    assert failure.kind == "truncated"


def test_pacing_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pacing() == Pacing()
    monkeypatch.setenv("MMLIB_YOUTUBE_VISITS_PER_S", "0.5")
    monkeypatch.setenv("MMLIB_YOUTUBE_ATTEMPTS", "7")
    assert (pacing().visits_per_s, pacing().attempts) == (0.5, 7)
    for wrong in ("0", "-1", "many", "nan", "1.5"):
        monkeypatch.setenv("MMLIB_YOUTUBE_ATTEMPTS", wrong)
        with pytest.raises(UserError, match="MMLIB_YOUTUBE_ATTEMPTS is"):
            pacing()


def test_bytes_a_second_become_a_pace_of_reading() -> None:
    assert read_limit(100_000, [{"tbr": 400.0}, {"tbr": 100.0}]) == ["-readrate", "1.600"]
    assert read_limit(100_000, [{"tbr": None}]) == []
    assert read_limit(0, [{"tbr": 400.0}]) == []
