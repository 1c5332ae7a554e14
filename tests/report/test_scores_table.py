"""The table of scores: what it warns of, and where its figures come from."""

import shutil
from pathlib import Path

from mmlib.metrics.scores.figures import compared, figures_csv
from mmlib.params.whole import file as whole
from mmlib.report import inputs
from mmlib.report.inputs import Inputs
from mmlib.report.sections.results import scores
from mmlib.report.tables import Table
from mmlib.runtime.scratch import publish_json
from mmlib.runtime.storage import read_csv as rows_of
from mmlib.runtime.storage import read_json, records_csv


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
    # a class without any is not in mAP
    positives(root, [0, 3, 19, 20])
    assert "2 of 11 classes have fewer than 20 positive clips" in table(load(root)).caption


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
