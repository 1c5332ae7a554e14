"""Transfer: the diagonal is what stage attack stored, and what others' perturbations may reach."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmlib.evaluation.sweep.attack import attack_split
from mmlib.evaluation.transfer import transfer
from mmlib.evaluation.transfer.table import Cells, figures, matrix_csv
from mmlib.evaluation.transfer.transfer import measure
from mmlib.metrics.ranking import average_precision, present_mean
from mmlib.metrics.stored import AttackScores, Condition
from mmlib.models import checkpoint
from mmlib.params.score import Score
from mmlib.params.transfer import TransferRow, UniversalFit
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import publish_json
from mmlib.runtime.shares import Finished
from mmlib.shards.read.format import ShardReader, ShardRow, write_shard
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import MANIFEST_NAME, ids_hash, read_manifest
from tests.conftest import ROOT
from tests.evaluation.test_attack import NAMES, project
from tests.sweep_toys import inputs, labelled, model, settings

SETTINGS = settings(eps=0.2, refine={"rounds": 1, "steps": 2, "sweep_steps": 1}, restarts=1)
FIT = UniversalFit(fit_on="val", clips=4, steps=3)
SCORE = Score(confidence=0.95, common_with=str(ROOT / "data/none/subset.csv"))
RUNS = ("mid", "audio", "video")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tags = np.random.default_rng(3).random((7, len(NAMES))) < 0.4
    project(tmp_path, tags=tags.astype(np.uint8))
    for name, net in (("audio", model(None, video=False)), ("video", model(None, audio=False))):
        checkpoint.save(net, tmp_path / name, {"classes": list(NAMES), "task": "multi_label"})
    return tmp_path


def played(root: Path, perturbation: str = "per_clip", **changes: object) -> Cells:
    row = {"perturbation": perturbation, "runs": "all", "threats": "all", "multiples": [1.0]}
    wanted = TransferRow.model_validate({**row, **changes})
    shards = root / "shards"
    return measure("row", wanted, FIT, RUNS, root, shards, SETTINGS, SCORE, seed=3)


def test_the_diagonal_is_the_stored_score(models: Path) -> None:
    """Each run under its own perturbations scores as stage attack stored it, at each budget."""
    cells = played(models, multiples=[1.0, 4.0])
    by_id = dict(zip(*_labels(models), strict=True))
    for name in RUNS:
        attack_split(models / "shards", models / name, models / "out", SETTINGS, seed=3)
        stored = AttackScores(models / f"out/{name}.parquet")
        labels = np.array([by_id[clip] for clip in stored.clip_ids])
        for threat in stored.threats:
            for multiple in (1.0, 4.0):
                scores = stored.scores(Condition(threat, "pgd", multiple))
                expected = present_mean(average_precision(labels, scores))
                found = cells[name, name, threat, multiple].figures["mAP"]
                assert found == pytest.approx(expected, abs=1e-9), (name, threat, multiple)
    assert {threat for *_, threat, _ in cells} == {"clean", "A", "V", "AV"}


def _labels(root: Path) -> tuple[list[str], np.ndarray]:
    clips = ShardSet(root / "shards", "eval")
    return clips.clip_ids, clips.labels > 0


def test_who_reaches_whom(models: Path) -> None:
    cells = played(models, multiples=[4.0])
    pairs = {(source, target) for source, target, threat, _ in cells if threat == "A"}
    assert pairs == {(s, t) for s in ("mid", "audio") for t in ("mid", "audio")}
    assert {(s, t) for s, t, threat, _ in cells if threat == "AV"} == {("mid", "mid")}
    rows = list(csv.DictReader(io.StringIO(matrix_csv(cells, SETTINGS.eps))))
    assert len(rows) == 4 + 4 + 1
    for row in rows:
        clean, own, left = (float(row[key]) for key in ("clean", "own", "mAP"))
        if row["source"] == row["target"]:
            assert left == own
        if row["share"]:
            assert float(row["share"]) == pytest.approx((clean - left) / (clean - own), abs=1e-4)
    found = figures(cells)
    assert found["AV"].keys() == {"own"}
    assert found["A"]["own"] < found["A"]["others"], "no run is hit harder by what is not its own"


def test_named_runs_and_threats_alone_and_none_left(models: Path) -> None:
    cells = played(models, runs=["audio"], threats="A")
    assert set(cells) == {("audio", "audio", "clean", 0.0), ("audio", "audio", "A", 1.0)}
    with pytest.raises(UserError, match=r"transfer\.rows\.row: none of its runs can meet"):
        played(models, runs="audio", threats="V")


def test_one_perturbation_for_all_clips(models: Path) -> None:
    """Fitted on val; what is made for each clip does more damage."""
    with pytest.raises(UserError, match="no split 'val'"):
        played(models, "universal")
    _write_val(models / "shards")
    cells = played(models, "universal")
    per_clip = played(models)
    clean = cells["mid", "mid", "clean", 0.0].figures["mAP"]
    assert clean == per_clip["mid", "mid", "clean", 0.0].figures["mAP"]
    alike = cells["mid", "mid", "AV", 1.0].figures["mAP"]
    assert per_clip["mid", "mid", "AV", 1.0].figures["mAP"] < alike
    assert alike != clean
    again = played(models, "universal")
    assert matrix_csv(again, 1.0) == matrix_csv(cells, 1.0)


@pytest.mark.parametrize("perturbation", ["universal", "per_clip"])
def test_a_matrix_does_not_depend_on_how_it_was_shared(
    models: Path, monkeypatch: pytest.MonkeyPatch, perturbation: str
) -> None:
    _write_val(models / "shards")
    changes: dict[str, Any] = {
        "perturbation": perturbation, "runs": ["mid", "audio"], "threats": "A",
    }  # fmt: skip
    alone = matrix_csv(played(models, **changes), 1.0)
    # per_clip: each of two runs in three steps, the sweep, a round and the record.
    for place in (1, 0) if perturbation == "universal" else (1, 0) * 6:
        monkeypatch.setenv("MMLIB_SHARE", f"{place}/2")
        with pytest.raises(Finished):
            played(models, **changes)
    monkeypatch.delenv("MMLIB_SHARE")
    for function in ("play_universal", "play_chunk"):
        monkeypatch.setattr(transfer, function, lambda *_, **__: pytest.fail("it was made already"))
    assert matrix_csv(played(models, **changes), 1.0) == alone


def _write_val(shards: Path) -> None:
    """A val split of other clips, alike in kind."""
    reader = ShardReader(shards / "eval-00000.parquet")
    tensors = inputs(clips=6, seed=9)
    labels = labelled(model(), clips=6, seed=9).labels.byte().numpy()
    audio = tensors["audio"].half().numpy()
    frames = (tensors["video"].permute(0, 2, 3, 4, 1) * 255).round().byte().numpy()
    ids = [f"val-{place}" for place in range(6)]
    rows = [
        ShardRow(name, name, labels[k], audio[k], frames[k], None) for k, name in enumerate(ids)
    ]
    write_shard(
        shards / "val-00000.parquet", reader.layout.model_copy(update={"split": "val"}), rows
    )
    manifest = read_manifest(shards)
    known = {"count": 6, "sha256": ids_hash(ids), "files": ["val-00000.parquet"]}
    manifest["clips"]["val"] = known
    publish_json(manifest, shards / MANIFEST_NAME)
