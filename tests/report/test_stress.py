"""The section on runs without an attacker: there when the stage ran, and what it says."""

import re
from pathlib import Path

import pytest

from mmlib.params.whole import file as whole
from mmlib.report import inputs, plots
from mmlib.report.stressed import Stressed
from mmlib.runtime.errors import UserError
from tests.report import fake_stress
from tests.report.conftest import render
from tests.report.pages import ids, made, sound

RUNS = ("audio", "video", "mid", "mixup", "adversarial")


def stressed(root: Path, *runs: str, retrained: tuple[str, ...] = ()) -> Path:
    made(root, *runs)
    fake_stress.write(root, runs, retrained)
    return root


def section(html: str) -> str:
    return html[html.index('id="stress"') :].split("</section>")[0]


def test_the_section_is_there_when_the_stage_ran(tmp_path: Path) -> None:
    html = render(stressed(tmp_path, *RUNS, retrained=("mixup", "adversarial")))
    assert "stress" in ids(html)
    sound(html)
    text = section(html)
    assert "2 kinds of corruption, 2 re-encodings by ffmpeg, 2 shifts of the sound" in text
    for title in (
        *("Corrupted, A<", "Corrupted, V<", "Corrupted, A+V<"),
        *("Encoded again: H.264", "Sound out of time<"),
    ):
        assert title in text, title
    assert "VP9 and Opus" not in text
    assert text.count("<svg viewBox") >= 5
    assert "no audio" in text
    assert "sound, other class" in text
    assert "0.350" in text
    assert "0.300–0.400" in text
    assert "Noise, codecs and timing" not in html


def test_what_helps_and_what_hurts_is_marked(tmp_path: Path) -> None:
    html = section(render(stressed(tmp_path, *RUNS, retrained=("mixup", "adversarial"))))
    table = html[html.index("What retraining changes") :]
    rows = {
        name: re.search(rf"{name} less mid</th>(.*?)</tr>", table, re.DOTALL).group(1)  # type: ignore[union-attr]
        for name in ("mixup", "adversarial")
    }
    assert "▲ +0.060" in rows["mixup"]
    assert "▼" not in rows["mixup"]
    assert "▼ −0.040" in rows["adversarial"]
    assert "▲" not in rows["adversarial"]
    assert "another seed may differ" in table


@pytest.mark.parametrize("run", ["audio", "video"])
def test_a_run_of_one_modality_alone(tmp_path: Path, run: str) -> None:
    html = section(render(stressed(tmp_path, run)))
    assert ("Sound out of time" in html) == (run == "audio")
    assert "What retraining changes" not in html
    assert "Corrupted, A+V" not in html


def test_off_is_said_and_names_the_switch(tmp_path: Path) -> None:
    root = made(tmp_path, "audio")
    html = render(root)
    assert "stress" not in ids(html)
    assert "make profile NAME=stress" in html
    fake_stress.write(root, ())
    assert "stress" not in ids(render(root))


def test_a_run_that_is_gone_does_not_linger(tmp_path: Path) -> None:
    root = made(tmp_path, "audio", "mid")
    fake_stress.write(root, ("audio", "mid", "gone"), ("mixup",))
    found = Stressed.read(inputs.load(whole.load(root / "params.yaml"), root))
    assert [run.name for run in found.runs] == ["audio", "mid"]
    assert not found.differences
    assert "gone" not in section(render(root))


def test_the_plot_has_the_clean_clips_at_severity_0(tmp_path: Path) -> None:
    root = stressed(tmp_path, "audio", "mid")
    found = inputs.load(whole.load(root / "params.yaml"), root)
    lines = plots.tables(found)["stress.csv"].splitlines()
    assert lines[0] == "run,threat,severity,mAP"
    assert lines[1:4] == ["audio,A,0,0.5", "audio,A,1,0.4", "audio,A,2,0.3"]
    assert len(lines) == 1 + 3 * (1 + 3)


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    root = stressed(tmp_path, "audio")
    path = root / "metrics/stress/means.csv"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(UserError, match=r"means\.csv"):
        render(root)
