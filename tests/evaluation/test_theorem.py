"""Theorem 1: exact radii on linear models, and counts that say what was found."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mmlib.attacks.core.threat import Budget
from mmlib.batch import Batch
from mmlib.evaluation.theorem import theorem
from mmlib.evaluation.theorem.compare import (
    Radii,
    compare,
    radii_csv,
)
from mmlib.evaluation.theorem.theorem import (
    measure,
    progress,
    smallest,
)
from mmlib.models import checkpoint
from mmlib.params.attacks import Attack
from mmlib.params.checks import Alone, RadiusSearch
from mmlib.report.comparison import theorem as rows
from mmlib.runtime.errors import UserError
from mmlib.runtime.shares import Finished
from tests.evaluation.test_attack import (
    NAMES,
    project,
)
from tests.sweep_toys import model, settings

SETTINGS = RadiusSearch(
    clips=6, reach=5.0, steps=4, rounds=12, tolerance=0.005,
)  # fmt: skip
INF = float("inf")


def test_radii_of_linear_models_are_exact() -> None:
    """Class 0 against class 1 by w · audio + b: the radius is (w · x + b) / ||w||_1."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(12, generator=generator)
    clips = 0.5 + 0.02 * torch.randn(9, 12, generator=generator)
    biases = {"alone": 0.3, "fused": 0.6}
    expected, found = {}, {}
    for name, bias in biases.items():

        def linear(batch: Batch, bias: float = bias) -> Tensor:
            score = (batch["audio"] - 0.5) @ weights + bias
            return torch.stack([score, torch.zeros_like(score)], 1)

        margin = (clips - 0.5) @ weights + bias
        expected[name] = (margin / weights.abs().sum()).numpy() / 0.02
        threat = {"audio": Budget(0.02 * SETTINGS.reach)}
        labels = torch.zeros(9, dtype=torch.long)
        found[name] = smallest(linear, {"audio": clips}, labels, threat, SETTINGS, range(9))
        np.testing.assert_allclose(found[name], expected[name], rtol=0.01)
    radii = Radii(tuple("abcdefghi"), found["alone"], found["fused"])
    counts = compare(radii, 0.05, 0.95)
    assert (counts["alone_first"], counts["fused_first"]) == (9, 0)
    swapped = compare(Radii(radii.clip_ids, radii.fused, radii.alone), 0.05, 0.95)
    assert swapped["share"] == 1
    assert swapped["share_hi"] == 1
    # Clopper-Pearson at 9 of 9: (alpha / 2) ** (1 / 9)
    assert swapped["share_lo"] == pytest.approx(0.025 ** (1 / 9), abs=1e-6)


def test_what_counts() -> None:
    """Wrong when clean: out; neither broken or within the tolerance: alike."""
    radii = Radii(
        tuple("abcdefg"),
        np.array([0.0, 1.0, 1.00, 1.0, INF, INF, 2.0]),
        np.array([1.0, 0.0, 0.97, 0.5, 1.0, INF, INF]),
    )
    counts = compare(radii, 0.05, 0.95)
    assert counts["clips"] == 7
    assert counts["wrong_when_clean"] == 2
    assert counts["counted"] == 5
    assert (counts["fused_first"], counts["alone_first"], counts["equal"]) == (2, 1, 2)
    assert counts["neither_broken"] == 1
    assert counts["share"] == 0.4
    assert counts["share_lo"] < 0.4 < counts["share_hi"]
    json.dumps(counts, allow_nan=False)
    nobody = compare(Radii(("a",), np.zeros(1), np.ones(1)), 0.05, 0.95)
    assert nobody["share"] is None
    json.dumps(nobody, allow_nan=False)


def test_the_rows_are_kept() -> None:
    text = radii_csv({"A": Radii(('a,"b"',), np.array([0.25]), np.array([INF]))})
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["clip_id"] == 'a,"b"'
    assert float(row["radius_alone"]) == 0.25
    assert float(row["radius_fused"]) == INF


def test_claims_need_one_clip() -> None:
    runs = {"mid": Alone(audio="audio", video="video")}
    one = compare(Radii(("a", "b"), np.array([1.0, 1.0]), np.array([0.5, 2.0])), 0.05, 0.95)
    none = compare(Radii(("a", "b"), np.array([1.0, 1.0]), np.array([1.0, 2.0])), 0.05, 0.95)
    first, second = rows.claims({"mid": {"A": one, "V": none}}, runs)
    assert first.verdict == "supported"
    assert first.effect.estimate == 0.5
    assert "mid breaks first on 1, audio on 1" in first.compared
    assert second.verdict == "undecided"
    assert rows.claims({}, runs) == []


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    project(tmp_path)
    for name, net in (("audio", model(None, video=False)), ("video", model(None, audio=False))):
        checkpoint.save(net, tmp_path / name, {"classes": list(NAMES), "task": "multi_label"})
    return tmp_path


def places(models: Path, audio: str = "audio") -> tuple[Path, Path, dict[str, Path]]:
    alone = {"audio": models / audio, "video": models / "video"}
    return models / "shards", models / "mid", alone


def searched(models: Path, attack: Attack, **alone: str) -> dict[str, Radii]:
    given = (*places(models, **alone), attack, SETTINGS, 1)
    scratch = progress(*given)
    found = measure(*given, scratch=scratch)
    scratch.finish()
    return found


def test_radii_of_real_nets(models: Path) -> None:
    """The third clip has no sound: it does not count under A. Nothing hangs on the batch size."""
    attack = settings(eps=0.2)
    found = searched(models, attack)
    assert len(found["A"].clip_ids) == len(found["V"].clip_ids) == 6
    assert "clip-2" not in found["A"].clip_ids
    whole = searched(models, settings(eps=0.2, batch_size=7))
    for threat, radii in found.items():
        assert radii.clip_ids == whole[threat].clip_ids
        np.testing.assert_allclose(radii.alone, whole[threat].alone, rtol=1e-3)
        np.testing.assert_allclose(radii.fused, whole[threat].fused, rtol=1e-3)
        assert (radii.fused == 0).sum() == 0, "labels are the fused model's own highest classes"
    fused = np.concatenate([radii.fused for radii in found.values()])
    assert np.isfinite(fused).any()
    assert bool((fused[np.isfinite(fused)] <= SETTINGS.reach).all())


def test_a_run_of_other_modalities_is_refused(models: Path) -> None:
    with pytest.raises(UserError, match=r"fused\.mid\.audio is mid, which reads audio and video"):
        searched(models, settings(), audio="mid")


def test_radii_do_not_depend_on_how_the_search_was_shared(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = settings(eps=0.2)
    alone = searched(models, attack)
    for place in (2, 0, 1):
        monkeypatch.setenv("MMLIB_SHARE", f"{place}/3")
        with pytest.raises(Finished):
            searched(models, attack)
    monkeypatch.delenv("MMLIB_SHARE")
    monkeypatch.setattr(theorem, "_search", lambda part: pytest.fail("it was searched already"))
    assembled = searched(models, attack)
    for threat, found in alone.items():
        assert found.clip_ids == assembled[threat].clip_ids
        np.testing.assert_array_equal(found.alone, assembled[threat].alone)
        np.testing.assert_array_equal(found.fused, assembled[threat].fused)
