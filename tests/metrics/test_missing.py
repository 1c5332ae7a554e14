"""Bounds for missing clips against every order there is; the shared set; what metrics say of it."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from mmlib.metrics.ranking import (
    average_precision,
    present_mean,
)
from mmlib.metrics.scores.common import shared
from mmlib.metrics.scores.missing import (
    accuracy_bounds,
    mean_ap_bounds,
    read_missing,
)
from mmlib.metrics.stored import (
    AttackScores,
    Condition,
)
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import publish_csv
from mmlib.shards.rows.ledger import (
    read_manifest_csv,
    write_ledger,
)
from tests.fake_run import write_run
from tests.ledger_rows import row, table
from tests.properties import examples

bits = st.lists(st.booleans(), min_size=1, max_size=2)
clips = st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=3)


@examples(150)
@given(
    known=st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=3), new=bits
)
def test_no_order_of_missing_clips_is_beyond_the_bounds(
    known: list[tuple[bool, int]], new: list[bool]
) -> None:
    """Every place that each missing clip may take among the scored ones, ties included."""
    labels = np.array([[label] for label, _ in known])
    scores = np.array([[score] for _, score in known], float)
    truth = np.concatenate([labels[:, 0], new])
    bounds = mean_ap_bounds(labels, scores, np.array(new)[:, None])
    if not truth.any():
        assert np.isnan(bounds).all()
        return
    # Above, between, at and below the scored clips; several of the missing at one place, or apart.
    places = sorted({s + d for s in scores[:, 0] for d in (-0.5, 0.0, 0.5)})
    offsets = [place + k / 100 for place in places for k in range(len(new))]
    found = [
        average_precision_score(truth, np.concatenate([scores[:, 0], order]))
        for order in permutations(offsets, len(new))
    ]
    assert bounds.lowest == pytest.approx(min(found))
    assert bounds.highest == pytest.approx(max(found))


def test_nothing_missing_leaves_the_score() -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.random((40, 5)) < 0.3, rng.standard_normal((40, 5))
    bounds = mean_ap_bounds(labels, scores, labels[:0])
    expected = present_mean(average_precision(labels, scores))
    assert bounds == pytest.approx((expected, expected))
    assert accuracy_bounds(0.75, 40, 0) == (0.75, 0.75)
    assert accuracy_bounds(0.5, 4, 4) == (0.25, 0.75)


def test_the_score_of_the_whole_list_lies_between() -> None:
    rng = np.random.default_rng(1)
    labels, scores = rng.random((60, 4)) < 0.3, rng.standard_normal((60, 4))
    whole = present_mean(average_precision(labels, scores))
    for kept in (59, 40, 10):
        low, high = mean_ap_bounds(labels[:kept], scores[:kept], labels[kept:])
        assert low < whole < high


def test_missing_clips_are_those_of_eval_without_a_shard(tmp_path: Path) -> None:
    path = tmp_path / "ledger.parquet"
    rows = [
        row("a", "eval", ("Rain",)),
        row("b", "eval", ("Rain", "Bird"), "failed", "timeout"),
        row("c", "eval", ("Bird", "Gone"), "dropped", "no_audio"),
        row("d", "eval", ("Gone",), "dropped", "untrained_class"),
        row("e", "train", ("Bird",), "failed", "timeout"),
    ]
    write_ledger(path, [table(rows)])
    missing = read_missing(path, ("Rain", "Bird"))
    assert missing.requested == 3
    assert missing.labels.tolist() == [[True, True], [False, True]]
    path.write_bytes(b"junk")
    with pytest.raises(UserError, match="cannot be read as a ledger"):
        read_missing(path, ("Rain",))
    with pytest.raises(UserError, match="dvc repro"):
        read_missing(tmp_path / "none.parquet", ("Rain",))


def test_scores_of_a_shared_set_are_those_of_its_clips(tmp_path: Path) -> None:
    write_run(tmp_path)
    attacks = AttackScores(tmp_path / "data/attacks/audio.parquet")
    condition = Condition("clean", "clean", 0.0)
    before = attacks.scores(condition)
    ids = attacks.clip_ids
    manifest = tmp_path / "theirs.csv"
    lines = ["clip_id,status,error", "clip-003,ok,", "clip-007,failed,timeout", "clip-010,ok,"]
    manifest.write_text("\n".join([*lines, "elsewhere,ok,"]) + "\n", encoding="utf-8")
    labels = np.ones((len(ids), 2), np.bool_)
    chosen = shared(ids, labels, manifest)
    assert ids[chosen].tolist() == ["clip-003", "clip-010"]
    attacks.restrict(ids[chosen])
    assert attacks.clip_ids.tolist() == ["clip-003", "clip-010"]
    np.testing.assert_array_equal(attacks.scores(condition), before[chosen])
    with pytest.raises(UserError, match="none of the 2 shared clips has a label"):
        shared(ids, labels & False, manifest)
    with pytest.raises(UserError, match="shares none of the 60 eval clips"):
        shared(np.char.add("x", ids), labels, manifest)
    (tmp_path / "all.csv").write_text("clip_id,status,error\n", encoding="utf-8")
    assert shared(ids, labels, tmp_path / "all.csv").all()


def test_manifests_of_others_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    path.write_text("split,clip_id\neval,a\neval,b\n", encoding="utf-8")
    assert read_manifest_csv(path) == {"a", "b"}
    path.write_text("clip_id\na\na\n", encoding="utf-8")
    with pytest.raises(UserError, match="clip a is there twice"):
        read_manifest_csv(path)
    path.write_text("id\na\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 1: no column clip_id; it has id"):
        read_manifest_csv(path)
    with pytest.raises(UserError, match="no such file"):
        read_manifest_csv(tmp_path / "none.csv")
    path.write_text("clip_id,check\na,by hand\n", encoding="utf-8")
    assert read_manifest_csv(path) == {"a"}
    path.write_text("clip_id,status\na,ok\nb\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 3: status is empty: ok, failed or dropped"):
        read_manifest_csv(path)


def test_our_manifest_survives_a_spreadsheet_and_no_change(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    publish_csv("clip_id,status,error\n007,ok,\n8,failed,timeout\n", path)
    text = path.read_text(encoding="utf-8")
    assert read_manifest_csv(path) == {"007"}
    path.write_text("\ufeff" + text.replace(",", ";").replace("\n", "\r\n"), encoding="utf-8")
    assert read_manifest_csv(path) == {"007"}
    head = text.splitlines(keepends=True)[0]
    for changed in (text.replace("007", "7"), text[: text.index("8,f")], head):
        path.write_text(changed, encoding="utf-8")
        with pytest.raises(UserError, match=r"clips\.csv: .*without a column #check"):
            read_manifest_csv(path)
