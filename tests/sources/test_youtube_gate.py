"""The gate before the site: a pace that all processes share, and pauses when the site refuses."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmlib.runtime.errors import UserError
from mmlib.sources.youtube.child import read_limit
from mmlib.sources.youtube.gate import Gate
from mmlib.sources.youtube.outcomes import broken_off, classify
from mmlib.sources.youtube.pacing import Pacing, pacing
from tests.conftest import ROOT

PACE = Pacing(visits_per_s=0.1, refusals=3, cooldown_s=90.0, cooldowns=2, timeout_s=30.0)

_VISITOR = """
import sys
from pathlib import Path
from mmlib.sources.youtube.gate import Gate
from mmlib.sources.youtube.pacing import Pacing
gate = Gate(Path(sys.argv[1]), Pacing(visits_per_s=4.0), clock=lambda: 0.0, sleep=print)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(20):
    gate.enter()
    gate.leave(None)
"""


class Clock:
    """A clock that sleeping moves on, and every look by `look_s`: what the machine itself takes."""

    def __init__(self, look_s: float) -> None:
        self.now, self.look_s = 1e9, look_s

    def __call__(self) -> float:
        self.now += self.look_s
        return self.now

    def sleep(self, seconds: float) -> None:
        """Wait without waiting."""
        assert seconds >= 0
        self.now += seconds


@pytest.fixture(params=[0.2, 1.0, 5.0], ids=["fast", "usual", "slow"])
def clock(request: pytest.FixtureRequest) -> Clock:
    """Of a machine that takes a millisecond between two looks, or five times less or more."""
    return Clock(1e-3 * float(request.param))


def gate_of(folder: Path, clock: Clock) -> Gate:
    """A gate that goes by the clock."""
    return Gate(folder, PACE, clock=clock, sleep=clock.sleep)


def seconds_to_enter(gate: Gate, clock: Clock) -> float:
    """How long the gate lets one wait."""
    begin = clock.now
    gate.enter()
    return clock.now - begin


# What a hundred looks at the slowest clock come to.
LOOKS_S = 0.5


def test_two_processes_share_one_pace(tmp_path: Path) -> None:
    """Whoever comes first: at one time, 40 visits get 40 turns, a quarter of a second apart."""
    visitors = [
        subprocess.Popen(
            [sys.executable, "-c", _VISITOR, tmp_path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for _ in range(2)
    ]  # fmt: skip
    for visitor in visitors:
        assert visitor.stdout is not None
        assert visitor.stdout.readline() == "ready\n"
    for visitor in visitors:
        assert visitor.stdin is not None
        visitor.stdin.write("\n")
        visitor.stdin.flush()
    turns = sorted(float(t) for v in visitors for t in v.communicate()[0].split())
    assert turns == [number / 4 for number in range(40)]


def test_visits_keep_the_pace(tmp_path: Path, clock: Clock) -> None:
    gate = gate_of(tmp_path, clock)
    begin = clock.now
    for number in range(10):
        gate.enter()
        assert 10 * number <= clock.now - begin < 10 * number + LOOKS_S
        gate.leave(None)
    clock.now += 1000
    assert seconds_to_enter(gate, clock) < LOOKS_S


def test_refusals_close_the_gate_and_an_answer_opens_it(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = gate_of(tmp_path, clock)
    for _ in range(3):
        gate.enter()
        gate.leave("refused: HTTP Error 403")
    assert "3 visits in a row" in capsys.readouterr().err
    # Until the pause is over, and the next look, a second later at the most.
    assert 90 - LOOKS_S <= seconds_to_enter(gate, clock) <= 91 + LOOKS_S
    gate.leave(None)
    for _ in range(2):
        gate.enter()
        gate.leave("refused: again")
    assert seconds_to_enter(gate, clock) <= 10 + LOOKS_S
    assert not capsys.readouterr().err


def test_answers_in_between_keep_it_open(tmp_path: Path, clock: Clock) -> None:
    gate = gate_of(tmp_path, clock)
    begin = clock.now
    for _ in range(4):
        for outcome in ("refused: x", "refused: x", None):
            gate.enter()
            gate.leave(outcome)
    assert clock.now - begin <= 110 + LOOKS_S


def test_one_visit_probes_while_others_wait(tmp_path: Path, clock: Clock) -> None:
    gate, other = gate_of(tmp_path, clock), gate_of(tmp_path, clock)
    for _ in range(3):
        gate.enter()
        gate.leave("connection: reset")
    gate.enter()
    # The probe never comes back, as when its process is killed: after a while another one may.
    assert 30 <= seconds_to_enter(other, clock) < 60


def test_the_stage_ends_after_so_many_pauses_and_the_next_run_probes(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = gate_of(tmp_path, clock)
    begin = clock.now
    for _ in range(PACE.refusals + PACE.cooldowns):
        gate.enter()
        gate.leave("refused: bot")
    assert clock.now - begin >= 90 + 180, "each pause is twice the one before"
    with pytest.raises(UserError, match=r"5 visits in a row \(refused: bot\).*kept.*COOKIES"):
        gate_of(tmp_path, clock).enter()
    monkeypatch.setattr("mmlib.sources.youtube.gate._run", lambda: 1)
    later = gate_of(tmp_path, clock)
    assert seconds_to_enter(later, clock) <= 10 + LOOKS_S
    later.leave("refused: bot")
    assert seconds_to_enter(later, clock) >= 180 - LOOKS_S


def test_a_state_that_a_kill_spoilt_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "gate.json").write_text('{"run": 1, "nex', encoding="utf-8")
    gate = Gate(tmp_path, PACE)
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
