"""The templates of `dvc plots show`, filled by DVC's own renderer."""

import json
from pathlib import Path
from typing import Any

import pytest
from dvc_render.vega import VegaRenderer  # type: ignore[import-untyped]

from tests.report.fake_project import REPOSITORY

FOLDER = REPOSITORY / ".dvc/plots"
TEMPLATES = sorted(FOLDER.glob("*.json"))


def filled(path: Path, fields: list[str]) -> dict[str, Any]:
    y = "dvc_inferred_y_value" if len(fields) > 1 else fields[0]
    points = [
        {"x": str(x), y: str(x / 2), "rev": rev, "filename": f"curves/{run}.csv", "field": field}
        for x in (0.0, 0.01, 0.02)
        for rev in ("workspace", "HEAD")
        for run in ("mid", "mixup")
        for field in fields
    ]
    definitions = [{"filename": p["filename"], "field": p["field"]} for p in points[:4]]
    renderer = VegaRenderer(
        points,
        "plot",
        template=path.stem,
        template_dir=str(FOLDER),
        x="x",
        y=y,
        title="A title",
        x_label="across",
        y_label="up",
        anchors_y_definitions=definitions,
    )
    return dict(renderer.get_filled_template())


def test_there_are_the_three() -> None:
    assert [path.stem for path in TEMPLATES] == ["robustness", "training", "trend"]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
@pytest.mark.parametrize("fields", [["AV"], ["A", "AV"]])
def test_every_anchor_is_filled_and_the_points_keep_their_run(
    path: Path, fields: list[str]
) -> None:
    spec = filled(path, fields)
    assert "<DVC_METRIC" not in json.dumps(spec)
    assert spec["title"]["text"] == "A title"
    assert {point["filename"] for point in spec["data"]["values"]} == {
        *("curves/mid.csv", "curves/mixup.csv")
    }
    assert {point["field"] for point in spec["data"]["values"]} == set(fields)


def test_the_scatter_has_a_trend_line_for_each_run_and_revision() -> None:
    layers = filled(FOLDER / "trend.json", ["AV"])["spec"]["layer"]
    regressions = [t for layer in layers for t in layer.get("transform", []) if "regression" in t]
    assert regressions == [{"regression": "y_value", "on": "x_value", "groupby": ["rev", "run"]}]
