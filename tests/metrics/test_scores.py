"""From cached scores to the files of stage score, and the stages themselves."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score

from mmlib.metrics import ranking
from mmlib.metrics.scores import tables
from mmlib.metrics.scores.conditions import (
    RunScore,
    score_run,
)
from mmlib.metrics.scores.figures import compared, figures_csv, read_figures
from mmlib.metrics.stored import (
    AttackScores,
    Condition,
    read_embeddings,
    read_labels,
)
from mmlib.runtime.errors import UserError
from mmlib.runtime.parquet import write_table
from mmlib.runtime.storage import read_json
from mmlib.shards.read.manifest import ids_hash
from mmlib.shards.rows.ledger import write_ledger
from stages import geometry, score
from tests.conftest import ROOT
from tests.fake_run import CLASSES, EPS, SWEEP, labels_of, save, write_run
from tests.ledger_rows import row, table

THREATS = {"A": 1.0, "V": 0.5, "AV": 2.0}


def scored(root: Path, run: str = "audio") -> RunScore:
    ids, labels = read_labels(root / f"data/embeddings/{run}.parquet", "eval")
    attacks = AttackScores(root / f"data/attacks/{run}.parquet")
    return score_run(attacks, ids, labels, confidence=0.9)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_embeddings_are_read_sorted_whatever_their_stored_order(tmp_path: Path) -> None:
    write_run(tmp_path)
    read = read_embeddings(tmp_path / "data/embeddings/audio.parquet", "eval")
    assert read.clip_ids.tolist() == [f"clip-{i:03d}" for i in range(60)]
    np.testing.assert_array_equal(read.labels, labels_of(60, "multi_label"))
    assert list(read.vectors) == ["audio"]
    np.testing.assert_allclose(read.vectors["audio"][:, :4] - 1.0, read.logits, atol=1e-6)


def test_attacked_scores_are_read_sorted_from_scattered_row_groups(tmp_path: Path) -> None:
    write_run(tmp_path, threats=THREATS)
    attacks = AttackScores(tmp_path / "data/attacks/audio.parquet")
    assert attacks.threats == ("A", "V", "AV")
    assert attacks.sweep("V", "pgd") == tuple(eps / EPS for eps in SWEEP)
    clean = attacks.scores(Condition("clean", "clean", 0.0))
    attacked = attacks.scores(Condition("A", "pgd", 1.0))
    push = 1 - 2.0 * labels_of(60, "multi_label")
    np.testing.assert_allclose(attacked - clean, push, atol=1e-5)
    quantised = attacks.scores(Condition("A", "pgd", 1.0), quantised=True)
    np.testing.assert_array_equal(quantised, attacked)
    with pytest.raises(UserError, match="are missing"):
        attacks.scores(Condition("clean", "clean", 0.0), quantised=True)
    with pytest.raises(UserError, match="no scores for"):
        attacks.scores(Condition("A", "pgd", 0.75))


def test_scores_of_before_multiples_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path)
    path = tmp_path / "data/attacks/audio.parquet"
    write_table(pq.read_table(path).drop_columns("multiple"), path)
    with pytest.raises(UserError, match="no column multiple"):
        AttackScores(path)


def test_headline_figures_follow_their_definitions(tmp_path: Path) -> None:
    write_run(tmp_path, threats=THREATS)
    found = tables.headline(scored(tmp_path))
    labels = labels_of(60, "multi_label").astype(bool)
    attacks = AttackScores(tmp_path / "data/attacks/audio.parquet")
    conditions = {"clean": Condition("clean", "clean", 0.0)}
    conditions |= {threat: Condition(threat, "pgd", 1.0) for threat in THREATS}
    for name, condition in conditions.items():
        scores = attacks.scores(condition)
        expected = np.mean([average_precision_score(labels[:, k], scores[:, k]) for k in range(3)])
        assert found[name]["mAP"] == pytest.approx(expected, abs=1e-6)
        assert found[name]["dprime"] == pytest.approx(
            float(ranking.dprime(found[name]["AUC"])), abs=1e-4
        )
        if name != "clean":
            drop = 1 - found[name]["mAP"] / found["clean"]["mAP"]
            assert found[name]["relative_drop"] == pytest.approx(drop, abs=1e-5)
    assert found["AV"]["mAP"] < found["A"]["mAP"] < found["V"]["mAP"] < found["clean"]["mAP"]
    assert found["quantised"] == {threat: found[threat]["mAP"] for threat in THREATS}
    assert found["noise"]["A"] > found["A"]["mAP"]
    assert found["skipped_classes"] == 1
    assert found["clips"] == 60
    assert "accuracy" not in found["clean"]


def test_perfect_ranking_has_no_number_for_dprime(tmp_path: Path) -> None:
    write_run(tmp_path, task="single_label", strength=40.0)
    found = tables.headline(scored(tmp_path))
    assert found["clean"]["AUC"] == found["clean"]["accuracy"] == 1.0
    assert found["clean"]["dprime"] is None
    json.dumps(found, allow_nan=False)


def test_intervals_hold_the_estimate_and_are_seeded(tmp_path: Path) -> None:
    write_run(tmp_path)
    first, second = scored(tmp_path), scored(tmp_path)
    estimate, lo, hi = first.clean.mean_ap
    assert lo < estimate < hi
    assert estimate == first.clean.figures["mAP"]
    assert tables.curves_csv(first) == tables.curves_csv(second)


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params and everything that stages geometry and score read."""
    write_run(tmp_path)
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert "input_points: 20" in text
    text = text.replace("input_points: 20", "input_points: 0")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    labels = labels_of(60, "multi_label")
    rows = [
        row(f"clip-{i:03d}", "eval", [CLASSES[k] for k in np.flatnonzero(labels[i])])
        for i in range(60)
    ]
    for folder in ("shards", "none"):
        (tmp_path / "data" / folder).mkdir()
    write_ledger(
        tmp_path / "data/shards/ledger.parquet",
        [table([*rows, row("clip-060", "eval", ["Siren"], "failed", "timeout")])],
    )
    (tmp_path / "data/none/subset.csv").write_text("clip_id,status,error\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_stages_write_their_outs_alike_twice(finished: Path) -> None:
    outs = [
        finished / "data/geometry/audio.csv",
        finished / "metrics/audio.json",
        finished / "metrics/classwise/audio.csv",
        finished / "metrics/curves/audio.csv",
    ]
    texts = []
    for _ in range(2):
        geometry.main(["audio"])
        score.main(["audio"])
        texts.append([path.read_bytes() for path in outs])
    assert texts[0] == texts[1]
    headline = read_json(outs[1])
    classes = read_csv(outs[2])
    assert [row["class"] for row in classes] == CLASSES
    present = [row for row in classes if row["clean_ap"]]
    assert [row["class"] for row in present] == CLASSES[:3]
    for key, figure in (("clean_ap", headline["clean"]), ("A_ap", headline["A"])):
        mean = np.mean([float(row[key]) for row in present])
        assert mean == pytest.approx(figure["mAP"], abs=2e-6)
    row, measured = classes[0], read_csv(outs[0])[0]
    assert float(row["A_drop"]) == pytest.approx(
        float(row["clean_ap"]) - float(row["A_ap"]), abs=2e-6
    )
    assert row["kappa"] == measured["kappa"]
    assert row["log_density"] == measured["log_density_0.6"]
    assert row["class_size"] == measured["n"]
    curve = read_csv(outs[3])
    assert [float(row["eps"]) for row in curve] == [0.0, *SWEEP]
    assert curve[0]["A"] == curve[0]["A_noise"]
    assert float(curve[0]["A"]) == pytest.approx(headline["clean"]["mAP"])
    assert float(curve[2]["A"]) == pytest.approx(headline["A"]["mAP"])
    assert float(curve[2]["A_lo"]) < float(curve[2]["A"]) < float(curve[2]["A_hi"])


def test_metrics_say_which_clips_they_are_of(finished: Path) -> None:
    geometry.main(["audio"])
    score.main(["audio"])
    before = read_figures(finished / "metrics/figures/audio.csv")
    ids = [f"clip-{i:03d}" for i in range(60)]
    assert before["set"] == {
        "hash": ids_hash(ids)[:12],
        "requested": 61,
        "scored": 60,
        "missing": 1,
        "recordings": 60,
    }
    for name in ("clean", "A"):
        figures = before[name]
        assert figures["mAP_lowest"] < figures["mAP"] < figures["mAP_highest"]
    text = (finished / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("common_with: data/none/subset.csv", "common_with: theirs.csv")
    (finished / "params.yaml").write_text(text, encoding="utf-8")
    lines = ["clip_id,status,error", *(f"{name},ok," for name in ids[:50]), "other,ok,"]
    (finished / "theirs.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    score.main(["audio"])
    after = read_figures(finished / "metrics/figures/audio.csv")
    assert after["set"]["hash"] == ids_hash(ids[:50])[:12]
    assert (after["set"]["scored"], after["clips"]) == (50, 50)
    assert not {"mAP_lowest", "mAP_highest"} & set(after["clean"])
    labels = labels_of(60, "multi_label").astype(bool)[:50]
    attacks = AttackScores(finished / "data/attacks/audio.parquet")
    scores = attacks.scores(Condition("A", "pgd", 1.0))[:50]
    expected = np.mean([average_precision_score(labels[:, k], scores[:, k]) for k in range(3)])
    assert after["A"]["mAP"] == pytest.approx(expected, abs=1e-6)


def test_the_few_figures_that_revisions_are_compared_by(finished: Path) -> None:
    geometry.main(["audio"])
    score.main(["audio"])
    few = read_json(finished / "metrics/audio.json")
    every = read_figures(finished / "metrics/figures/audio.csv")
    assert set(few) == {"clean", "A", "noise", "quantised", "clips", "skipped_classes"}
    assert set(few["A"]) == {"mAP", "AUC", "dprime", "area"}
    assert few == compared(every)
    assert {"relative_drop", "mAP_lowest"} <= set(every["A"])
    assert {"worst_case", "set"} <= set(every)
    counted = [value for value in few.values() if not isinstance(value, dict)]
    counted += [value for part in few.values() if isinstance(part, dict) for value in part.values()]
    assert len(counted) <= 20


def test_figures_are_read_as_they_were_written(tmp_path: Path) -> None:
    figures = {
        "clean": {"mAP": 0.5, "dprime": None},
        "worst_case": {"A": {"top_kept": 1.0, "attacks": 5}},
        "set": {"hash": "0123456789e1", "scored": 3},
    }
    path = tmp_path / "run.csv"
    path.write_text(figures_csv(figures), encoding="utf-8")
    assert read_figures(path) == figures
    path.write_text("figure,value\nclean.mAP,much\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"run\.csv: cannot be read as figures of a run"):
        read_figures(path)


def test_faults_are_one_clear_line(finished: Path) -> None:
    with pytest.raises(UserError, match="usage"):
        score.main([])
    with pytest.raises(UserError, match="usage"):
        geometry.main(["a", "b"])
    with pytest.raises(UserError, match=r"geometry/audio\.csv: no such file"):
        score.main(["audio"])
    with pytest.raises(UserError, match="no such file"):
        score.main(["mid"])
    path = finished / "data/embeddings/audio.parquet"
    with pytest.raises(UserError, match="no clip of split 'other'"):
        read_labels(path, "other")
    write_run(finished, clips=50)
    other = AttackScores(finished / "data/attacks/audio.parquet")
    write_run(finished)
    ids, labels = read_labels(path, "eval")
    with pytest.raises(UserError, match="50 clips, but embeddings of 60"):
        score_run(other, ids, labels, confidence=0.9)
    mine = AttackScores(finished / "data/attacks/audio.parquet")
    with pytest.raises(UserError, match="no clip of the eval split has a label"):
        score_run(mine, ids, labels & False, confidence=0.9)
    path = finished / "data/attacks/audio.parquet"
    stored = pq.read_table(path)
    write_table(stored.filter(pc.not_equal(stored["multiple"], 1.0)), path)
    mine = AttackScores(path)
    with pytest.raises(UserError, match="not attacked at the headline eps"):
        score_run(mine, ids, labels, confidence=0.9)
    path.write_bytes(b"junk")
    with pytest.raises(UserError, match="delete it"):
        read_labels(path, "eval")
    save(path, {"clip_id": ["a"]}, {})
    assert not list(finished.glob("metrics/*"))


def test_a_diverged_model_is_named(tmp_path: Path) -> None:
    write_run(tmp_path, threats={"A": float("nan")})
    with pytest.raises(UserError, match="NaN or infinite scores under A"):
        scored(tmp_path)
