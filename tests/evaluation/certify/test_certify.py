"""A row of certify from shards to tables, and what its files say."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmlib.evaluation.certify import certify as whole
from mmlib.evaluation.certify.certify import Places
from mmlib.evaluation.certify.outcome import Attacked, Certified, OfThreat
from mmlib.evaluation.certify.table import (
    attacks_csv,
    curve_csv,
    decisions_csv,
    figures,
    heads_csv,
    outcome,
)
from mmlib.evaluation.certify.units import Unit
from mmlib.metrics.smoothing import Decisions, bound, decide, largest_reach
from mmlib.models.embed import embed_run
from mmlib.params.certify import CertifyAttack, CertifyRow, Sampling
from mmlib.params.goals import Decision
from mmlib.runtime.errors import UserError
from tests.evaluation.test_attack import project
from tests.sweep_toys import settings

SAMPLING = Sampling(clips=None, n0=8, n=40, alpha=0.05)
SEARCH = CertifyAttack(multiples=(1.0,), reaches=(1.0, 3.0), clips=3, steps=2, draws=2, n=24)
HALF = Decision(rule="probability", probability=0.5, top=1)
ROW = CertifyRow.model_validate(
    {"run": "mid", "threats": "all", "sigma": {"audio": 0.05, "video": 0.1}}
)


def certified(root: Path, decision: Decision = HALF, **changes: Any) -> Certified:
    row = CertifyRow.model_validate({**ROW.model_dump(), **changes})
    attack = settings(eps=0.002, batch_size=4)
    places = Places(root, root / "shards", root)
    return whole.certify("mid", row, places, SAMPLING, SEARCH, decision, attack, seed=3)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven clips, the third without sound, with labels of every class."""
    monkeypatch.chdir(tmp_path)
    tags = (np.arange(35).reshape(7, 5) % 3 == 0).astype(np.uint8)
    shards, model = project(tmp_path, tags=tags)
    embed_run(model, shards, tmp_path / "mid.parquet", 4)
    return tmp_path


def test_a_row_from_shards_to_tables(root: Path) -> None:
    found = certified(root)
    assert [each.threat for each in found.threats] == ["A", "V", "AV"]
    decisions = rows(decisions_csv(found))
    assert len(decisions) == 3 * 7 * 5
    top = largest_reach(SAMPLING.n, SAMPLING.alpha)
    for line in decisions:
        mute = line["clip_id"] == "clip-2" and line["threat"] == "A"
        assert (line["reach"] == "inf") == mute, "no sound, nothing to change"
        if mute:
            continue
        assert (line["decision"] == "abstain") == (line["reach"] == "")
        if line["reach"]:
            assert 0 < float(line["reach"]) <= top * 1.00001
            assert (line["capped"] == "1") == (line["votes"] in ("0", "1"))
            assert not line["eps_together"] or float(line["eps_together"]) < float(line["eps"])
            assert (line["l2"] == "") == (line["threat"] == "AV")
    for threat in ("A", "V", "AV"):
        curve = [line for line in rows(curve_csv(found)) if line["threat"] == threat]
        low = [float(line["mAP_lo"]) for line in curve]
        assert low == sorted(low, reverse=True)
        for line in curve:
            assert not line["mAP_attacked"] or float(line["mAP_attacked"]) >= float(line["mAP_lo"])
            assert float(line["pairs_standing"]) >= float(line["pairs_certified"])
        assert sum(bool(line["mAP_attacked"]) for line in curve) == 2
    assert len(rows(heads_csv(found))) == 3 * 7 * 5
    assert outcome(found).status == "pass"
    told = figures(found)
    assert (told["passes"], told["clips"], told["check"]) == (48, 7, "pass")
    assert told["A"]["certified_mAP"] <= told["A"]["attacked_mAP"]
    assert not list((root / "scratch").iterdir()), "finished pieces are gone"


def test_pieces_and_batches_change_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = certified(root, threats="A")
    monkeypatch.setattr(whole, "CHUNK", 3)
    again = certified(root, threats="A")
    assert decisions_csv(found) == decisions_csv(again)
    assert attacks_csv(found) == attacks_csv(again)
    assert curve_csv(found) == curve_csv(again)


def test_tags_shown_by_rank_are_certified_too_but_not_their_heads(root: Path) -> None:
    found = certified(root, Decision(rule="top", probability=0.5, top=2), threats="V")
    (each,) = found.threats
    assert (each.hits.sum(1) == 2 * SAMPLING.n).all(), "two of five tags at every draw"
    assert np.isfinite(each.decisions.reach).any()
    assert rows(heads_csv(found)) == []
    assert "head" not in figures(found)["V"]


def test_what_cannot_be_certified_is_refused(root: Path) -> None:
    f1 = Decision(rule="f1", probability=0.5, top=1)
    with pytest.raises(UserError, match="the split val has no clips to choose thresholds on"):
        certified(root, f1)


def made(reach: float, kept: tuple[int, int]) -> Certified:
    """One clip with a tag that 38 of 40 draws show; its decision attacked at 1 and 3 radii."""
    hits, first = np.array([[38, 0]]), np.array([[8, 0]])
    unit = Unit({"audio": 0.1}, {"audio": 1.0}, {"audio": 400})
    decisions = decide(first, 8, hits, 40, 0.05)
    pairs = Attacked(
        np.array([0]), np.array([0]), np.array([unit.eps(reach)]), np.array(kept)[:, None]
    )
    each = OfThreat(
        "A", unit, np.array([True, True]), hits, decisions,
        Decisions(decisions.shown, decisions.reach / 2), bound(hits, 40, 0.01),
        np.array([[[20, 0]]]), pairs, np.array([[0.5, np.inf]]), np.array([2.0]),
    )  # fmt: skip
    labels = np.array([[True, False]])
    return Certified(("a", "b"), ("clip",), labels, 0.002, SAMPLING, SEARCH, (each,))


def test_both_sides_of_a_decision() -> None:
    """Certified up to its radius, standing up to the radius at which an attack turned it."""
    found = made(0.8, (24, 2))
    curve = rows(curve_csv(found))
    eps, certified_at = [float(line["eps"]) for line in curve], found.threats[0].pairs.eps[0]
    assert [float(line["pairs_certified"]) for line in curve] == [e <= certified_at for e in eps]
    standing = [float(line["pairs_standing"]) for line in curve]
    assert standing == [e < 3 * certified_at for e in eps]
    assert {0, 1} == set(standing)
    assert outcome(found).status == "pass"
    attacks = rows(attacks_csv(found))
    assert [(line["reach"], float(line["kept"])) for line in attacks] == [
        ("1", 1.0), ("3", pytest.approx(2 / 24, rel=1e-4)),
    ]  # fmt: skip
    assert [line["relative"] for line in rows(heads_csv(found))] == ["0.25", "inf"]


def test_a_certificate_that_an_attack_breaks_is_told() -> None:
    found = outcome(made(1.0, (1, 0)))
    assert found.status == "fail"
    assert "1 of 1 decisions turned within their certified radius" in found.message


def test_draws_too_few_to_certify_anything_have_a_table_too() -> None:
    found = made(0.0, (24, 2))._replace(sampling=SAMPLING.model_copy(update={"n": 2}))
    assert figures(found)["A"]["largest_eps"] == 0
    curve = rows(curve_csv(found))
    assert [float(line["eps"]) for line in curve] == [0, 0.002]


def test_a_radius_has_its_units() -> None:
    line = rows(decisions_csv(made(1.0, (24, 2))))[0]
    reach = float(line["reach"])
    assert float(line["l2"]) == pytest.approx(0.1 * reach, rel=1e-4)
    # The root of the mean square over 400 elements.
    assert float(line["eps"]) == pytest.approx(0.1 * reach / 20, rel=1e-4)
    assert float(line["eps_together"]) == pytest.approx(float(line["eps"]) / 2, rel=1e-4)
