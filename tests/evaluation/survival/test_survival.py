"""The whole of stage survival on small clips: answers that are known, and what is refused."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
import torch

from mmlib.evaluation.survival.attack import UNTOUCHED
from mmlib.evaluation.survival.survival import Places, measure
from mmlib.evaluation.survival.table import Scored, figures, survival_csv
from mmlib.params.score import Score
from mmlib.params.survival import SurvivalAttack, SurvivalRun, Trial
from mmlib.runtime.errors import UserError
from tests.evaluation.stress.project import DECODE, FPS, SIDE, Project, net

OWN = """
import torch

def nothing(x, level):
    return torch.zeros_like(x)

def rounded(x, level):
    return torch.from_numpy((x.numpy() / level).round() * level)

def same(x, level):
    return x

def short(x, level):
    return x[..., :1]
"""
MILD = {"kind": "h264_aac", "crf": [30], "kbps": [48]}
HARD = {"kind": "h264_aac", "crf": [40], "kbps": [20]}
GAIN = {"kind": "gain", "levels": [-6.0]}


def own(function: str, modality: str = "audio", **changes: Any) -> dict[str, Any]:
    kept = {"kind": "own", "function": function, "modality": modality, "levels": [0.1]}
    return kept | {"differentiable": True} | changes


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return path


def scored(
    project: Project,
    code: Path,
    run: str = "mid",
    *,
    score: list[dict[str, Any]],
    survive: list[dict[str, Any]] | None = None,
    threats: str | list[str] = "all",
    **attack: Any,
) -> Scored:
    how = {
        "eps": {"audio": 0.02, "video": 0.1}, "norm": "linf", "methods": ["pgd"], "steps": 2,
        "momentum": 0.75, "survive": survive or [MILD], "gradient": "measured", "draws": 1,
        "hold": 2,
    }  # fmt: skip
    trial = {
        "clips": 4, "pictures": {"side": SIDE, "fps": FPS}, "score": score, "code": str(code)
    }  # fmt: skip
    return measure(
        Places(project.root / "clips", project.root / "shards", project.root / "models" / run),
        SurvivalRun.model_validate({"threats": threats}),
        SurvivalAttack.model_validate(how | attack),
        Trial.model_validate(trial),
        DECODE,
        "bce",
        Score(confidence=0.95, common_with=str(project.root / "all.csv")),
        3,
        scratch_root=code.parent / "scratch",
    )


def rows(found: Scored) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(survival_csv(found))))


def test_the_table_says_what_is_left(project: Project, code: Path) -> None:
    found = scored(project, code, score=[HARD, GAIN], threats="AV")
    table = rows(found)
    assert [row["regard"] for row in table] == ["plain"] * 3 + ["aware"] * 3
    assert [row["level"] for row in table[:3]] == ["", "H264 CRF 40, AAC 20 kbit/s", "-6 dB"]
    for row in table:
        drop = float(row["clean"]) - float(row["mAP"])
        assert float(row["drop"]) == pytest.approx(drop, abs=2e-4)
        assert (row["times"] != "") <= (row["regard"] == "aware")
        if row["kind"] == "as written" and drop > 0:
            assert float(row["survival"]) == 1
    assert set(figures(found)) == {"AV"}
    assert set(figures(found)["AV"]["pgd"]) == {"plain", "aware"}


def test_the_same_bytes_on_each_run(project: Project, code: Path) -> None:
    first, second = (scored(project, code, "audio", score=[HARD]) for _ in range(2))
    assert survival_csv(first) == survival_csv(second)


def test_a_model_that_ignores_sound_is_untouched_by_attacks_on_it(
    project: Project, code: Path
) -> None:
    deaf = net(project.root / "shards", 5, audio=True, video=True, fusion="late")
    with torch.no_grad():
        for weight in deaf.encoders["audio"].parameters():
            weight.zero_()
    project.add("deaf", deaf)
    found = scored(project, code, "deaf", score=[HARD], threats="A")
    for arm in found.arms:
        for place in (-1, 0):
            assert found.drop(arm, place)[0] == 0, arm
    assert {row["survival"] for row in rows(found)} == {""}, "no share of nothing"


def test_nothing_survives_a_transform_that_leaves_nothing(project: Project, code: Path) -> None:
    found = scored(project, code, "audio", score=[own("nothing", levels=[0.2]), GAIN])
    for arm in found.arms:
        assert found.drop(arm, 0)[0] == 0, "silence is silence"
    plain = next(arm for arm in found.arms if arm.regard == "plain")
    assert found.drop(plain, -1)[0] != 0


def test_identity_as_what_is_survived_gives_the_plain_attack(project: Project, code: Path) -> None:
    found = scored(project, code, "mid", score=[HARD], survive=[own("same")], threats="AV")
    _, plain, aware = found.arms
    for place in (-1, 0):
        assert found.drop(plain, place)[0] == found.drop(aware, place)[0]
    assert found.arms[0] == UNTOUCHED


def test_functions_without_gradient_are_passed_straight_through(
    project: Project, code: Path
) -> None:
    coarse = own("rounded", differentiable=False)
    found = scored(project, code, "audio", score=[GAIN], survive=[coarse], gradient="straight")
    assert len(found.scores) == 3 * 2
    with pytest.raises(UserError, match=r"mine\.py:rounded raised RuntimeError"):
        scored(project, code, "audio", score=[GAIN], survive=[own("rounded")])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"survive": [own("absent")]}, r"survival\.trial\.code .*no function 'absent', only noth"),
        ({"survive": [own("short")]}, r"mine\.py:short must give a tensor \(16000,\), not \(1,\)"),
        ({"threats": ["AV"]}, "names AV, but the run reads audio only"),
        (
            {"score": [{"kind": "resize", "levels": [0.5]}]},
            r"survival\.trial\.score holds nothing that changes what run audio reads, which is aud",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    project: Project, code: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        scored(project, code, "audio", **({"score": [GAIN]} | changes))
