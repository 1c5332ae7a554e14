"""The sweep over a chunk: what must hold for every clip, and what is written."""

import json
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from mmlib.attacks.core.region import ORDERS
from mmlib.attacks.core.threat import (
    NORMS,
    Norm,
)
from mmlib.evaluation.attacked.budgets import shapes_of, threat_at
from mmlib.evaluation.sweep import perceptibility, table
from mmlib.evaluation.sweep.chunk import ChunkSweep
from mmlib.evaluation.sweep.measures import measure
from mmlib.metrics.stored import (
    AttackScores,
    Condition,
)
from tests.sweep_toys import CLASSES, inputs, labelled, model, settings


def test_budgets_follow_the_params() -> None:
    scaled = settings(norm="l2", scale={"audio": 2.0, "video": 1.0})
    threat = threat_at("AV", scaled, 0.5, shapes_of(inputs()))
    assert threat["audio"].eps == pytest.approx(0.02 * 0.5 * 2 * (16 * 32) ** 0.5)
    assert threat["video"].eps == pytest.approx(0.02 * 0.5 * (3 * 2 * 16 * 16) ** 0.5)
    assert threat["video"].norm == "l2"


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("missing", [False, True])
def test_what_holds_for_every_clip(norm: Norm, missing: bool) -> None:
    net = model()
    clips = labelled(net)
    if missing:
        clips.inputs["audio_present"] = torch.tensor([True, False, True])
    short = settings(norm=norm)
    sweep = ChunkSweep(net, clips, short, seed=7)
    records = {record.condition: record for record in sweep.run()}
    assert len(records) == 1 + 3 * 3 * 2
    clean = records["clean", "clean", 0.0]
    torch.testing.assert_close(clean.scores, net(clips.inputs), atol=1e-5, rtol=1e-5)
    for name in ("A", "V", "AV"):
        losses = [clean.loss, *(records[name, "pgd", multiple].loss for multiple in short.sweep)]
        for smaller, larger in pairwise(losses):
            assert bool((larger >= smaller).all())
        for multiple in short.sweep:
            found = sweep.solutions[name, multiple].points
            again = net({**clips.inputs, **found})
            record = records[name, "pgd", multiple]
            assert record.eps == 0.02 * multiple
            torch.testing.assert_close(record.scores, again, atol=1e-5, rtol=1e-5)
            assert (record.quantised_scores is not None) == (multiple == 1)
            for modality, budget in sweep.threat(name, multiple).items():
                delta = perceptibility.change(clips.inputs[modality], found[modality])
                change = perceptibility.norm(delta, ORDERS[norm])
                assert bool((change <= budget.eps * (1 + 1e-6)).all())
                known = record.measures[f"norm_{modality}"]
                absent = missing and modality == "audio"
                assert torch.isnan(known).tolist() == [False, absent, False]
                assert bool((found[modality] >= 0).all() & (found[modality] <= 1).all())
            if name == "AV":
                for part in "AV":
                    assert bool((record.loss >= records[part, "pgd", multiple].loss).all())
    assert bool((records["AV", "pgd", 4.0].loss > records["AV", "noise", 4.0].loss).all())


def test_a_clip_does_not_depend_on_its_chunk() -> None:
    net = model()
    clips = labelled(net, clips=5)
    whole = ChunkSweep(net, clips, settings(), seed=1).run()
    one = clips._replace(
        clip_ids=clips.clip_ids[3:4],
        inputs={name: tensor[3:4] for name, tensor in clips.inputs.items()},
        labels=clips.labels[3:4],
    )
    for part, full in zip(ChunkSweep(net, one, settings(), seed=1).run(), whole, strict=True):
        assert part.condition == full.condition
        torch.testing.assert_close(part.loss, full.loss[3:4], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("modality", ["audio", "video"])
def test_uni_modal_models(modality: str) -> None:
    net = model(None, audio=modality == "audio", video=modality == "video")
    records = ChunkSweep(net, labelled(net), settings(), seed=1).run()
    assert {record.condition[0] for record in records} == {"clean", modality[0].upper()}


def test_untouched_modalities_have_no_measures() -> None:
    clean = inputs()
    threat = threat_at("A", settings(), 1.0, shapes_of(clean))
    found = measure(clean, {"audio": clean["audio"]}, threat)
    assert set(found) == {"norm_audio", "mean_abs_audio", "max_abs_audio", "snr_log_mel"}
    assert found["norm_audio"].tolist() == [0, 0, 0]
    assert bool(torch.isnan(found["snr_log_mel"]).all())


def test_pieces_join_into_one_table(tmp_path: Path) -> None:
    net = model()
    pieces, shown, chunks = [], [], []
    for seed in range(2):
        clips = labelled(net, clips=3 - seed, seed=seed)
        sweep = ChunkSweep(net, clips, settings(), seed=1)
        records = sweep.run()
        chunks.append((clips, sweep, records))
        pieces.append(tmp_path / f"{seed}.parquet")
        table.write_piece(pieces[-1], clips.clip_ids, records)
        shown.append(tmp_path / f"{seed}-examples.parquet")
        table.write_examples(shown[-1], list(sweep.examples([1])))
    described = {
        "classes": list("abcde"), "task": "multi_label", "run": "mid", "eps": 0.02,
        "threats": ["A", "V", "AV"],
    }  # fmt: skip
    table.join_pieces(pieces, tmp_path / "mid.parquet", described)
    table.join_examples(shown, tmp_path / "mid-examples.parquet", described)

    scores = AttackScores(tmp_path / "mid.parquet")
    assert scores.eps == 0.02
    assert scores.sweep("AV", "pgd") == (0.5, 1.0, 4.0)
    expected = torch.cat(
        [
            next(r.scores for r in records if r.condition == ("AV", "pgd", 1.0))
            for _, _, records in chunks
        ]
    )
    assert torch.equal(torch.tensor(scores.scores(Condition("AV", "pgd", 1.0))), expected)
    assert scores.scores(Condition("A", "pgd", 1.0), quantised=True).shape == (5, CLASSES)
    rows = pq.read_table(tmp_path / "mid.parquet").to_pylist()
    assert len(rows) == 5 * (1 + 3 * 3 * 2)
    assert [row["clip_id"] for row in rows[:5]] == [
        f"clip-{s}-{r}" for s, r in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    ]
    under_audio = next(row for row in rows if row["threat"] == "A" and row["attack"] == "pgd")
    assert under_audio["norm_video"] is None
    assert under_audio["norm_audio"] == pytest.approx(0.01, rel=1e-5)
    assert rows[0]["quantised_scores"] is None
    assert {(row["multiple"], row["eps"]) for row in rows} == {
        (0.0, 0.0), (0.5, 0.01), (1.0, 0.02), (4.0, 0.08),
    }  # fmt: skip

    stored = pq.read_table(tmp_path / "mid-examples.parquet")
    about = json.loads(stored.schema.metadata[b"mmlib"])
    assert about["shapes"] == {"audio": [16, 32], "video": [3, 2, 16, 16]}
    row = stored.to_pylist()[0]
    kept = torch.frombuffer(bytearray(row["adversarial_video"]), dtype=torch.float32)
    clips, sweep, _ = chunks[0]
    found = sweep.solutions["AV", 1.0].points["video"][1]
    assert row["clip_id"] == clips.clip_ids[1]
    assert torch.equal(kept.view(3, 2, 16, 16), found)
    assert list(row["labels"]) == clips.labels[1].int().tolist()
