"""The section on music: there when the stage ran, with its numbers and players."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mmlib.params.whole import file as whole
from mmlib.report import inputs, plots
from mmlib.report.musical import ROOMS, Musical
from mmlib.runtime import parquet
from mmlib.runtime.scratch import publish_csv
from mmlib.runtime.storage import records_csv
from tests.report.conftest import render
from tests.report.fake_project import CLASSES
from tests.report.pages import ids, made, sound
from tests.report.test_goals import switch_on

KINDS = {"random": 0.05, "per_clip": 0.3, "universal": 0.15}
SAMPLES = 48000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made(tmp_path, "audio", "mid")


def write(root: Path, *runs: str, kinds: tuple[str, ...] = tuple(KINDS)) -> None:
    """Music takes the damage of KINDS at 0 dB and half of it at 10 dB; a third less in rooms."""
    for run in runs:
        rows: list[dict[str, object]] = [
            {"music": "clean", "mAP": 0.6, "mAP_lo": 0.5, "mAP_hi": 0.7}
        ]
        for kind in kinds:
            for snr_db, share in ((10, 0.5), (0, 1.0)):
                for heard, kept in (("as_played", 1.0), ("unseen_rooms", 2 / 3)):
                    value = 0.6 - KINDS[kind] * share * kept
                    row = {"music": kind, "snr_db": snr_db, "heard": heard, "mAP": value}
                    row |= {"mAP_lo": value - 0.1, "mAP_hi": value + 0.1}
                    if kind != "random":
                        beyond = (KINDS[kind] - KINDS["random"]) * share * kept
                        row |= {"beyond_random": beyond}
                        row |= {"beyond_random_lo": beyond - 0.1, "beyond_random_hi": beyond + 0.1}
                    rows.append(row)
        publish_csv(records_csv(rows), root / f"metrics/music/{run}.csv")
    switch_on(root, "music", "runs", {run: {"pieces": "per_clip"} for run in runs})


def write_examples(root: Path, run: str) -> None:
    rng = np.random.default_rng(1)
    noise = (rng.standard_normal(SAMPLES) * 1000).astype(np.int16)
    columns: dict[str, list[object]] = {
        "clip_id": ["eval-00003"],
        "labels": [np.eye(len(CLASSES), dtype=np.uint8)[2].tobytes()],
        "scores_clean": [np.linspace(-2, 2, len(CLASSES), dtype=np.float32).tobytes()],
        "clean": [noise.tobytes()],
    }
    for kind in ("random", "per_clip"):
        columns[f"scores_{kind}"] = columns["scores_clean"]
        columns[f"mixed_{kind}"] = [(noise + 500).astype(np.int16).tobytes()]
        columns[f"music_{kind}"] = [noise[::-1].tobytes()]
    facts = {"classes": list(CLASSES), "kinds": ["random", "per_clip"], "snr_db": 10.0}
    table = pa.table(columns).replace_schema_metadata(parquet.metadata({**facts, "rate_hz": 16000}))
    (root / "data/music").mkdir(exist_ok=True)
    parquet.write_table(table, root / f"data/music/{run}-examples.parquet")


def section(html: str) -> str:
    return html[html.index('id="music"') :].split("</section>")[0]


def test_off_is_said_and_names_the_switch(root: Path) -> None:
    text = sound(render(root))
    assert "“make profile NAME=music” changes that" in text
    switch_on(root, "music", "runs", {"mid": {"pieces": "per_clip"}})
    html = render(root)
    assert "music" not in ids(html)
    assert "metrics/music/<run>.csv is not there: “dvc repro music” writes it." in sound(html)
    tables = plots.tables(inputs.load(whole.load(root / "params.yaml"), root))
    assert tables["music.csv"] == "run,music,snr_db,mAP\n"


def test_curves_tables_and_players(root: Path) -> None:
    write(root, "audio", "mid")
    write_examples(root, "mid")
    html = render(root)
    assert "music" in ids(html)
    sound(html)
    text = section(html)
    for said in (
        "Music composed for each clip<", "One piece composed for all clips<", "10 dB", "0 dB",
        "Music played to audio", "Music played to mid", "clips with music against mid",
    ):  # fmt: skip
        assert said in text, said
    assert text.count("<svg viewBox") == 2, "one drawing for each kind that was composed"
    # per_clip at 0 dB in rooms: 0.6 - 0.3 * 2 / 3, and 0.167 beyond random music.
    assert "0.400" in text
    assert "+0.167" in text
    assert text.count("<audio controls") == 5, "clean, then mixed and alone for two kinds"
    assert text.count("data:audio/wav;base64,") == 5
    assert "mixed at 10 dB, in a room" in text


def test_lines_begin_without_music_and_have_random_music_below(root: Path) -> None:
    write(root, "mid", kinds=("random", "per_clip"))
    found = Musical.read(inputs.load(whole.load(root / "params.yaml"), root))
    (run,) = found.runs
    assert (found.kinds, found.levels) == (["random", "per_clip"], ["10", "0"])
    line = found.line(run, "per_clip", ROOMS)
    assert line is not None
    assert line.floor is not None
    np.testing.assert_allclose(line.y, [0.6, 0.5, 0.4])
    np.testing.assert_allclose(line.floor, [0.6, 0.6 - 0.05 / 3, 0.6 - 0.1 / 3])
    assert found.line(run, "universal", ROOMS) is None
    lines = plots.tables(inputs.load(whole.load(root / "params.yaml"), root))["music.csv"]
    assert lines.splitlines()[1:] == [
        "mid,random,10,0.583333333", "mid,random,0,0.566666667",
        "mid,per_clip,10,0.5", "mid,per_clip,0,0.4",
    ]  # fmt: skip


def test_a_run_that_is_gone_does_not_linger(root: Path) -> None:
    write(root, "audio", "mid")
    (root / "metrics/audio.json").unlink()
    found = Musical.read(inputs.load(whole.load(root / "params.yaml"), root))
    assert [run.name for run in found.runs] == ["mid"]
