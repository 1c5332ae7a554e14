"""The stage on real clips: known answers, tables that agree, any number of workers, a kill."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmlib.evaluation.stress import stress as module
from mmlib.evaluation.stress import work
from mmlib.evaluation.stress.conditions import conditions
from mmlib.evaluation.stress.scores import Tables
from mmlib.evaluation.stress.stress import origins_of
from mmlib.metrics.intervals import jackknife_interval
from mmlib.metrics.ranking import average_precision, present_mean
from mmlib.metrics.scores.jackknife import pseudo_values
from mmlib.models import checkpoint
from mmlib.runtime.errors import UserError
from mmlib.shards.read.loader import ShardSet
from tests.evaluation.stress.project import SOME, Project, net, stress

Rows = list[dict[str, str]]


def rows(tables: Tables, name: str) -> Rows:
    return list(csv.DictReader(io.StringIO(tables.texts[name])))


def where(found: Rows, **wanted: str) -> Rows:
    return [row for row in found if all(row[key] == value for key, value in wanted.items())]


@pytest.fixture(scope="module")
def tables(project: Project) -> Tables:
    return project.measure(stress(**SOME), origins={"mixup": ("mid",)})


def test_every_condition_of_what_a_run_reads_is_scored(tables: Tables) -> None:
    found, listed = rows(tables, "scores"), conditions(stress(**SOME))
    assert len(listed) == 6 + 3 + 2 + 2 + 2
    both = sum(len(condition.modalities) > 1 for condition in listed)
    assert both == 9
    for run, threats in (("audio", "A"), ("video", "V")):
        own = where(found, run=run)
        assert {row["threat"] for row in own} == {threats}
    assert len(where(found, run="audio")) == 9 + 2 + 2 + 1
    assert len(where(found, run="video")) == 9 + 1
    assert len(where(found, run="mid")) == 3 * 9 + 6
    assert {row["clips"] for row in where(found, run="mid", family="corruption", threat="A")} == {
        "7"
    }
    assert {row["clips"] for row in where(found, run="mid", family="encoding", threat="AV")} == {
        "8"
    }
    (row,) = where(found, run="mid", family="encoding", step="2", threat="AV")
    assert (row["sound"], row["picture"]) == ("AAC 16 kbit/s", "H264 CRF 51")
    stated = {row["snr_db"][:4] for row in where(found, kind="gaussian", threat="A", step="3")}
    assert stated <= {"20.0", "19.9"}


def test_a_model_that_ignores_sound_is_untouched_by_every_threat_to_it(project: Project) -> None:
    deaf = net(project.places.shards, 5, audio=True, video=True)
    with torch.no_grad():
        weight = deaf.get_parameter("hidden.0.weight")
        weight[:, : deaf.shapes["audio"][0]] = 0
    project.add("deaf", deaf)
    settings = stress(**SOME)
    found = rows(project.measure(settings, "deaf", scratch="deaf"), "scores")
    sound = where(found, threat="A")
    assert {row["family"] for row in sound} == {"corruption", "encoding", "shift", "swap", "drop"}
    clean = rows(project.measure(settings, "deaf", scratch="deaf"), "means")[0]
    assert {row["mAP"] for row in sound} == {clean["mAP"]}
    assert len({row["mAP"] for row in where(found, threat="V")}) > 1
    alone = {(r["family"], r["kind"], r["step"]): r["mAP"] for r in where(found, threat="V")}
    for row in where(found, threat="AV"):
        assert row["mAP"] == alone[row["family"], row["kind"], row["step"]]


def test_clean_is_what_the_model_says_of_the_stored_clips(project: Project, tables: Tables) -> None:
    split = ShardSet(project.places.shards, "eval")
    clean = where(rows(tables, "means"), family="clean")
    assert [row["run"] for row in clean] == ["audio", "video", "mid", "mixup"]
    for row in clean:
        model, _ = checkpoint.load(project.places.models / row["run"])
        with torch.inference_mode():
            logits = model(split.gather(np.arange(len(split)), model.modalities).inputs).numpy()
        expected = present_mean(average_precision(split.labels, logits))
        assert float(row["mAP"]) == pytest.approx(expected, abs=1e-6)


def test_means_are_means_of_the_scores(tables: Tables) -> None:
    scores, means = rows(tables, "scores"), rows(tables, "means")
    for mean in means:
        if mean["family"] == "clean":
            continue
        wanted = {key: mean[key] for key in ("run", "family", "threat")}
        wanted |= {key: mean[key] for key in ("kind", "step") if mean[key]}
        members = [float(row["mAP"]) for row in where(scores, **wanted)]
        assert int(mean["conditions"]) == len(members)
        assert float(mean["mAP"]) == pytest.approx(np.mean(members), abs=2e-6)
        (clean,) = where(means, run=mean["run"], family="clean")
        kept = np.mean(members) / float(clean["mAP"])
        assert float(mean["kept"]) == pytest.approx(kept, abs=1e-5)
    for run, figures in tables.figures.items():
        widest = {"audio": "A", "video": "V"}.get(run, "AV")
        (row,) = where(means, run=run, family="corruption", kind="", step="", threat=widest)
        assert figures["corruption"] == pytest.approx(float(row["mAP"]))
        assert ("shift" in figures) == (run != "video")
        assert "drop" not in figures


def test_differences_are_paired(project: Project, tables: Tables) -> None:
    """Against the clean clips' own logits, the one difference that is recomputed from outside."""
    means, found = rows(tables, "means"), rows(tables, "differences")
    assert {(row["run"], row["beside"]) for row in found} == {("mixup", "mid")}
    for row in found:
        wanted = {key: row[key] for key in ("family", "kind", "threat")} | {"step": ""}
        one, other = (float(where(means, run=run, **wanted)[0]["mAP"]) for run in ("mixup", "mid"))
        assert float(row["effect"]) == pytest.approx(one - other, abs=2e-6)
        assert float(row["lo"]) <= float(row["hi"])
        assert float(row["p_adjusted"]) >= float(row["p"])
    split = ShardSet(project.places.shards, "eval")
    logits = {}
    for run in ("mixup", "mid"):
        model, _ = checkpoint.load(project.places.models / run)
        with torch.inference_mode():
            logits[run] = model(split.gather(np.arange(len(split))).inputs).numpy()
    pseudo = pseudo_values(split.labels, logits["mixup"])
    pseudo = pseudo - pseudo_values(split.labels, logits["mid"])
    (row,) = where(found, family="clean")
    ends = jackknife_interval(pseudo, float(row["effect"]), 0.95)
    assert float(row["lo"]) == pytest.approx(ends.lo, abs=1e-5)
    assert float(row["hi"]) == pytest.approx(ends.hi, abs=1e-5)


FEW: dict[str, Any] = SOME | {
    "corruptions": ["rain"],
    "severities": [4],
    "encodings": {"h264_crf": [], "aac_kbps": [], "vp9_crf": [40], "opus_kbps": [24]},
}


def test_workers_and_a_kill_change_no_byte(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    monkeypatch.setenv("MMLIB_WORKERS", "1")

    def measured(scratch: str) -> Tables:
        given = {"mixup": ("mid",)}
        return project.measure(stress(**FEW), "mid", "mixup", scratch=scratch, origins=given)

    whole = measured("one")
    assert not any((project.root / "one").iterdir())
    done: list[int] = []

    def until_the_second(chunk: work.Chunk) -> None:
        if done:
            raise KeyboardInterrupt
        work.stress_chunk(chunk)
        done.append(chunk.number)

    monkeypatch.setattr(module, "stress_chunk", until_the_second)
    with pytest.raises(KeyboardInterrupt):
        measured("killed")
    monkeypatch.setattr(module, "stress_chunk", work.stress_chunk)
    monkeypatch.setenv("MMLIB_WORKERS", "2")
    assert measured("killed") == whole


def test_a_run_that_is_left_with_nothing_ranks_by_chance(tables: Tables) -> None:
    """All clips tie: the AP of each class is its share of the clips."""
    found = rows(tables, "scores")
    shares = np.mean([3 / 8, 3 / 8, 3 / 8])
    for run in ("audio", "video"):
        (row,) = where(found, run=run, family="drop")
        assert float(row["mAP"]) == pytest.approx(shares, abs=1e-6)


def test_other_fusions_and_clips_of_a_draw(project: Project) -> None:
    for fusion in ("early", "late"):
        project.add(fusion, net(project.places.shards, 6, audio=True, video=True, fusion=fusion))
    settings = stress(corruptions=["crowd"], severities=[5], drops=["audio", "video"], clips=5)
    found = project.measure(settings, "early", "late", scratch="fusions")
    scores = rows(found, "scores")
    assert {row["threat"] for row in where(scores, run="early")} == {"A", "V", "AV"}
    assert max(int(row["clips"]) for row in scores) <= 5
    assert found == project.measure(settings, "early", "late", scratch="fusions")


def test_what_retrained_runs_are_compared_with() -> None:
    retrain: dict[str, Any] = {
        "mixup": {"init": "mid", "method": "mixup"},
        "plain": {"init": "mid", "method": "plain"},
        "other": {"init": "gblend", "method": "adversarial"},
    }
    runs = ("mid", "mixup", "plain", "other")
    assert origins_of(retrain, runs) == {"mixup": ("mid", "plain"), "plain": ("mid",)}
    assert origins_of(retrain, ("mixup",)) == {}


def test_what_does_not_fit_is_one_line(project: Project, tmp_path: Path) -> None:
    other = net(project.places.shards, 1, audio=True, video=False)
    checkpoint.save(
        other,
        project.places.models / "strange",
        {"classes": ["a", "b", "c"], "task": "multi_label"},
    )
    with pytest.raises(UserError, match="trained on other classes"):
        project.measure(stress(**SOME), "strange")
    (tmp_path / "none.csv").write_text("clip_id,status,error\nelsewhere,ok,\n")
    with pytest.raises(UserError, match="shares none of the 8 eval clips"):
        project.measure(stress(**SOME), common_with=tmp_path / "none.csv")
    broken = net(project.places.shards, 2, audio=False, video=True)
    with torch.no_grad():
        broken.head.bias[0] = float("nan")
    project.add("broken", broken)
    with pytest.raises(UserError, match=r"run broken: its logits of 8 clips.*not finite"):
        project.measure(stress(corruptions=["snow"]), "broken", scratch="broken")
