"""The table of scores: what it warns of, and where its figures come from."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mmlib.metrics.ranking import average_precision
from mmlib.metrics.scores.figures import compared, figures_csv
from mmlib.params.whole import file as whole
from mmlib.report import inputs
from mmlib.report.cards import cards
from mmlib.report.exports import results_text
from mmlib.report.inputs import Inputs
from mmlib.report.sections.results import chance_level, robustness, scores
from mmlib.report.tables import Table
from mmlib.runtime.scratch import publish_json
from mmlib.runtime.storage import read_csv as rows_of
from mmlib.runtime.storage import read_json, records_csv
from tests.conftest import ROOT
from tests.report.conftest import render
from tests.report.fake_project import CLASSES
from tests.report.pages import made, sound
from tools import profiles


def table(found: Inputs) -> Table:
    section = scores(found)
    assert section is not None
    first = section.blocks[0].body
    assert isinstance(first, Table)
    return first


def load(root: Path) -> Inputs:
    return inputs.load(whole.load(root / "params.yaml"), root)


def copy(project: Path, root: Path) -> Path:
    shutil.copytree(project, root, dirs_exist_ok=True)
    return root


def positives(root: Path, counts: list[int]) -> None:
    """Give the first classes of every run so many positives, the others 50."""
    for path in (root / "metrics/classwise").glob("*.csv"):
        rows = rows_of(path)
        for place, row in enumerate(rows):
            row["n_eval"] = str(counts[place] if place < len(counts) else 50)
        path.write_text(records_csv(rows), encoding="utf-8")


def test_few_positives_are_warned_of(project: Path, tmp_path: Path) -> None:
    root = copy(project, tmp_path)
    positives(root, [])
    assert "positive clips" not in table(load(root)).caption
    assert "positive clips" not in results_text(load(root), [])
    # a class without any is not in mAP
    positives(root, [0, 3, 19, 20])
    words = "2 of 11 classes have fewer than 20 positive clips"
    found = load(root)
    curves = robustness(found)
    assert curves is not None
    captions = [str(block.extra) for block in curves.blocks]
    for text in (table(found).caption, *cards(found).values(), " ".join(captions)):
        assert words in text
    assert words in " ".join(results_text(found, []).split())


def test_recordings_are_named_where_clips_share_them(project: Path, tmp_path: Path) -> None:
    root = copy(project, tmp_path)
    for recordings, words in (
        (120, None),
        (60, "The 120 clips come from 60 recordings, which all intervals take as the independent"),
        (20, "20 recordings, which all intervals take as the independent units, and so few make"),
    ):
        for run in load(root).runs:
            path = root / f"metrics/{run.name}.json"
            figures = read_json(path)
            figures["set"] |= {"scored": 120, "recordings": recordings}
            publish_json(figures, path)
        caption = table(load(root)).caption
        assert "recordings" not in caption if words is None else words in caption


def test_chance_is_what_random_rankings_average_to(project: Path, tmp_path: Path) -> None:
    root = copy(project, tmp_path)
    positives(root, [3] * len(CLASSES))
    found = load(root)
    clips = int(found.runs[0].value("set", "scored") or 0)
    labels = np.arange(clips)[:, None] < 3
    rng = np.random.default_rng(0)
    drawn = [average_precision(labels, rng.permutation(clips)[:, None])[0] for _ in range(2000)]
    assert chance_level(found) == pytest.approx(np.mean(drawn), abs=0.005)
    # above the share of positives, as each counts itself
    assert np.mean(drawn) > 3 / clips + 0.02


def test_every_figure_is_read_where_the_few_lack_it(project: Path, tmp_path: Path) -> None:
    root = copy(project, tmp_path)
    before = table(load(root))
    (root / "metrics/figures").mkdir()
    for run in load(root).runs:
        path = root / f"metrics/{run.name}.json"
        figures = read_json(path)
        (root / f"metrics/figures/{run.name}.csv").write_text(figures_csv(figures))
        publish_json(compared(figures), path)
        assert read_json(path) != figures
    assert table(load(root)) == before


def with_cnn14(project: Path, root: Path) -> Path:
    """The project with another audio run, of CNN14, that scored the same."""
    copy(project, root)
    for path in [p for p in root.rglob("audio*") if p.is_file()]:
        shutil.copy(path, path.with_name(path.name.replace("audio", "audio_cnn14", 1)))
    profiles.apply("panns", ROOT / "profiles", root / "params.yaml")
    return root


def beside(found: Inputs, run: str) -> list[str]:
    """The paper's figures in the first row of a run: clean mAP, AUC and d'."""
    row = next(row for row in table(found).rows if row.name == run)
    return [str(cell.text) for cell in row.cells[-3:]]


def note(found: Inputs) -> str:
    section = scores(found)
    assert section is not None
    return next(str(block.body) for block in section.blocks if block.kind == "note")


def test_the_papers_audio_row_stands_beside_a_cnn14_alone(project: Path, tmp_path: Path) -> None:
    csn = load(copy(project, tmp_path / "csn"))
    assert beside(csn, "audio") == ["–"] * 3
    assert beside(csn, "gblend") == ["0.427", "0.971", "2.686"]
    assert "audio (CSN) has no counterpart there" in note(csn)
    assert "make profile NAME=panns" in note(csn)
    assert "audio beside" not in note(csn)
    root = with_cnn14(project, tmp_path / "both")
    both = load(root)
    assert beside(both, "audio") == ["–"] * 3
    assert beside(both, "audio_cnn14") == ["0.383", "0.963", "2.521"]
    assert "audio_cnn14 beside “audio uni-modal (PANNs)”" in note(both)
    assert "audio (CSN) has no counterpart there." in note(both)
    assert "make profile" not in note(both)
    sound(render(root))


def test_a_csn_alone_has_nothing_of_the_paper_beside_it(tmp_path: Path) -> None:
    found = load(made(tmp_path, "audio"))
    assert [group.text for group in table(found).groups] == ["", "this data"]
    assert note(found).startswith("The paper's row “audio uni-modal (PANNs)” is a CNN14")
