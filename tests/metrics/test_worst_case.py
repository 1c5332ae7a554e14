"""The ensemble per clip, and the three worst cases of a ranking metric."""

from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import label_ranking_loss

from mmlib.attacks.methods.misalign import misalign
from mmlib.attacks.methods.sparse import sparse, supports_of
from mmlib.evaluation.attacked.features import side_by_side
from mmlib.evaluation.attacked.frozen import cached_encoders
from mmlib.evaluation.sweep.chunk import ChunkSweep
from mmlib.metrics.ranking import (
    average_precision,
    present_mean,
)
from mmlib.metrics.scores.conditions import score_run
from mmlib.metrics.scores.worst_case import (
    least_precision,
    pairs_misranked,
    top_kept,
    worse_scores,
    worst_cases,
)
from mmlib.metrics.stored import (
    AttackScores,
    Condition,
    read_labels,
)
from tests.fake_run import write_run
from tests.sweep_toys import labelled, model, settings

METHODS = ["square", "pgd", "apgd", "fgsm", "mim"]
OF_TIME = ["pgd", "temporal_raise", "temporal_lower", "misalign", "sparse"]


@pytest.mark.parametrize("methods", [METHODS, ["apgd", "square"], OF_TIME])
def test_each_clip_gets_the_strongest(methods: list[str]) -> None:
    net = model()
    clips = labelled(net, clips=4)
    several = settings(methods=methods, queries=20)
    records = {r.condition: r for r in ChunkSweep(net, clips, several, seed=2).run()}
    for name in ("A", "V", "AV"):
        alone = {c[1]: r for c, r in records.items() if c[0] == name and c[1].endswith(" alone")}
        assert set(alone) == {f"{method} alone" for method in methods}
        strongest = records[name, "pgd", 1.0]
        losses = torch.stack([record.loss for record in alone.values()])
        assert bool((strongest.loss >= losses.amax(0) - 1e-6).all())
        assert {c[2] for c in records if c[1].endswith(" alone")} == {1.0}
        for record in alone.values():
            for column in ("norm_audio", "norm_video"):
                if column in record.measures:
                    assert bool((record.measures[column] <= 0.02 * (1 + 1e-6)).all())


def test_pgd_alone_stores_what_it_always_did() -> None:
    net = model()
    clips = labelled(net, clips=2)
    records = ChunkSweep(net, clips, settings(), seed=2).run()
    assert {record.condition[1] for record in records} == {"clean", "noise", "pgd"}
    more = ChunkSweep(net, clips, settings(methods=["pgd", "mim"]), seed=2).run()
    first = next(r for r in records if r.condition == ("A", "pgd", 0.5))
    second = next(r for r in more if r.condition == ("A", "pgd", 0.5))
    assert bool((second.loss >= first.loss - 1e-6).all())


def test_a_method_that_works_on_features_does_what_it_does_by_itself() -> None:
    """At the smallest budget, from the clean clip: with the weight, the steps and the seeds."""
    net = model()
    clips = labelled(net, clips=3)
    wanted = settings(methods=["misalign", "sparse"], term_weight=2.0, time_share=0.25, sweep=[1.0])
    sweep = ChunkSweep(net, clips, wanted, seed=2)
    found = {r.condition[:2]: r for r in sweep.run()}
    search, threat = sweep.begin("A", 1.0, "bce")
    batch, encode = cached_encoders(net, clips.inputs, None, threat)
    path = {"steps": 3, "step_size": 1.0, "restarts": 2, "seeds": search.seeds}
    features = side_by_side(net, encode)
    known = {
        "misalign": partial(misalign, features=features, weight=2.0),
        "sparse": partial(sparse, supports=supports_of(batch, 0.25)),
    }
    for name, attack in known.items():
        alone = attack(search.model, search.batch, clips.labels, threat, start=search.clean, **path)
        expected = net({**clips.inputs, "audio": alone["audio"]}).detach()
        assert torch.allclose(found["A", f"{name} alone"].scores, expected, atol=1e-5)


def test_a_model_without_the_features_is_attacked_by_the_others() -> None:
    net = model(None, video=False)
    clips = labelled(net, clips=2)
    records = ChunkSweep(net, clips, settings(methods=OF_TIME), seed=2).run()
    alone = {r.condition[1] for r in records if r.condition[1].endswith(" alone")}
    assert alone == {f"{name} alone" for name in OF_TIME if name != "misalign"}


def test_methods_are_checked() -> None:
    with pytest.raises(ValidationError, match="twice"):
        settings(methods=["pgd", "pgd"])
    with pytest.raises(ValidationError):
        settings(methods=["deepfool"])
    with pytest.raises(ValidationError, match="misalign and temporal_raise alone"):
        settings(methods=["misalign", "temporal_raise"])
    assert settings(methods="apgd").methods == ("apgd",)


def test_the_figures_over_stored_attacks(tmp_path: Path) -> None:
    write_run(tmp_path, threats={"A": 1.0, "V": 0.5, "AV": 2.0})
    attacks = AttackScores(tmp_path / "data/attacks/audio.parquet")
    ids, labels = read_labels(tmp_path / "data/embeddings/audio.parquet", "eval")
    scores = score_run(attacks, ids, labels, confidence=0.9)
    found = worst_cases(attacks, labels)
    # The made-up attacks push every score the same way: the strongest one is the lowest.
    strongest = attacks.scores(Condition("AV", "pgd", 1.0))
    assert found["AV"]["attacks"] == 1 + 3 * 2 * 2
    assert found["A"]["attacks"] == 1 + 2 * 2
    headline = scores.headline("AV").figures["mAP"]
    assert found["AV"]["lowest_of_stored"] == pytest.approx(headline, abs=1e-6)
    tagged = labels.any(axis=1)
    expected = float(top_kept(labels, strongest)[tagged].mean())
    assert found["AV"]["top_kept"] == pytest.approx(expected, abs=1e-6)
    assert found["AV"]["pairs_misranked"] == pytest.approx(
        float(pairs_misranked(labels, strongest).mean()), abs=1e-6
    )
    for key in ("lowest_of_stored", "top_kept"):
        assert found["AV"][key] <= found["A"][key] <= found["V"][key]


@pytest.mark.parametrize("ties", [False, True])
@given(seed=st.integers(0, 10_000))
def test_no_choice_of_one_stored_attack_for_each_clip_leaves_less(seed: int, ties: bool) -> None:
    """All choices are tried: one class meets its bound, unless scores are equal."""
    rng = np.random.default_rng(seed)
    labels = rng.random((5, 3)) < 0.4
    labels[0] = True
    shape = (2, 5, 3)
    drawn = rng.integers(0, 4, shape) if ties else rng.permutation(np.arange(30)).reshape(shape)
    several = drawn.astype(np.float32)
    bound = least_precision(labels, worse_scores(labels, *several))
    choices = np.array(list(product(range(2), repeat=5)))
    found = np.array([average_precision(labels, several[c, np.arange(5)]) for c in choices])
    least = found.min(axis=0)
    assert bool((bound <= least + 1e-12).all()) if ties else bound == pytest.approx(least)
    assert present_mean(bound) <= found.mean(axis=1).min() + 1e-12


def test_pairs_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    labels = rng.random((50, 6)) < 0.3
    logits = rng.standard_normal((50, 6)).astype(np.float32)
    whole = labels.any(1) & ~labels.all(1)
    expected = label_ranking_loss(labels[whole], logits[whole])
    assert pairs_misranked(labels, logits)[whole].mean() == pytest.approx(expected)
    assert pairs_misranked(labels, logits)[~whole].sum() == 0
    tied = np.zeros((1, 2), np.float32)
    assert pairs_misranked(np.array([[True, False]]), tied)[0] == 1
    assert not top_kept(np.array([[True, False]]), tied)[0]
