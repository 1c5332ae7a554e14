"""All checks of a run, on a small project that was attacked for real, and the stage."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest
import torch

from mmlib.evaluation.attacked.run import AttackedRun
from mmlib.evaluation.checks import check as checking
from mmlib.evaluation.checks.check import (
    Places,
    Task,
    _probe,
    check_run,
    check_runs,
)
from mmlib.evaluation.checks.outcome import Outcome, summary
from mmlib.evaluation.checks.universal import check_universal
from mmlib.evaluation.sweep import attack as work
from mmlib.metrics.stored import AttackScores
from mmlib.models import checkpoint
from mmlib.models.embed import write_embeddings
from mmlib.models.predict import predict
from mmlib.params.attacks import Attack
from mmlib.params.checks import Checks
from mmlib.runtime.errors import UserError
from mmlib.runtime.parquet import read_parquet, write_table
from mmlib.runtime.scratch import Scratch, publish_json
from mmlib.runtime.seeds import drawn
from mmlib.shards.read.format import (
    ShardReader,
    ShardRow,
    write_shard,
)
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import (
    MANIFEST_NAME,
    ids_hash,
    read_manifest,
)
from stages import check
from tests.conftest import ROOT
from tests.evaluation.test_attack import NAMES as CLASSES
from tests.evaluation.test_attack import project
from tests.sweep_toys import inputs, model, settings, waveforms

NAMES = [
    "logits_not_probabilities", "deterministic_forward", "zero_or_nan_gradient", "gradient_flow",
    "eps0_equals_clean", "monotone_eps", "large_eps_collapse", "random_noise",
    "joint_beats_single", "worst_case_per_clip", "iterated_beats_single", "doubling_steps",
    "doubling_restarts",
    "other_losses", "gradient_free", "optimality", "transfer", "silent_success", "budget_exact",
    "reload_rescore", "known_weak_control", "universal_split", "clean_beside_robust",
    "threat_model_card", "scores_match_scikit_learn",
]  # fmt: skip
CHECKS = Checks(clips=8, queries=4, queried_clips=8, on_failure="report")
# Seven clips and a net of random weights: what these say of the curves means nothing.
UNSURE = {
    *("large_eps_collapse", "gradient_flow", "monotone_eps", "doubling_steps", "optimality"),
    "transfer",
}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return _attacked(tmp_path_factory.mktemp("run"), settings())


def _attacked(root: Path, attack: Attack) -> Task:
    """The runs mid and audio of a small project, attacked."""
    (root / "data").mkdir()
    sound = waveforms(7) if attack.domain == "waveform" else None
    shards, run = project(root / "data", sound)
    _other_split(shards)
    audio = model(None, video=False)
    checkpoint.save(audio, root / "data/audio", {"classes": list(CLASSES), "task": "multi_label"})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for name in ("mid", "audio"):
            work.attack_split(shards, run.with_name(name), root / "attacks", attack, seed=3)
    places = Places(shards, root / "data", root / "attacks", root / "embeddings")
    for name in ("mid", "audio"):
        _embed(places, name)
    return Task("mid", ("mid", "audio"), places, attack, CHECKS, 3, 80.0)


def _other_split(shards: Path) -> None:
    """A val split of three clips, beside the eval split."""
    layout = ShardReader(shards / "eval-00000.parquet").layout.model_copy(update={"split": "val"})
    tags = np.eye(3, len(CLASSES), dtype=np.uint8)
    tensors = inputs(clips=3, seed=9)
    audio = tensors["audio"].half().numpy()
    frames = (tensors["video"].permute(0, 2, 3, 4, 1) * 255).round().byte().numpy()
    ids = [f"val-{row}" for row in range(3)]
    silence = np.zeros(layout.clip_samples, np.int16)
    write_shard(
        shards / "val-00000.parquet",
        layout,
        [ShardRow(ids[i], ids[i], tags[i], audio[i], frames[i], silence) for i in range(3)],
    )
    manifest = read_manifest(shards)
    files = ["val-00000.parquet"]
    manifest["clips"]["val"] = {"count": 3, "sha256": ids_hash(ids), "files": files}
    publish_json(manifest, shards / MANIFEST_NAME)


def _embed(places: Places, run: str) -> None:
    net, _ = checkpoint.load(places.models / run)
    clips = ShardSet(places.shards, "eval")
    found = predict(net, clips, batch_size=4, device=torch.device("cpu"))
    parts = (("eval", part) for part in found)
    write_embeddings(
        places.embeddings / f"{run}.parquet",
        parts,
        classes=list(CLASSES),
        task="multi_label",
        run=run,
    )


def by_name(outcomes: list[Outcome]) -> Mapping[str, Outcome]:
    return {outcome.name: outcome for outcome in outcomes}


def moved(task: Task, folder: Path) -> Task:
    """The task on a copy of the attacks, to tamper with."""
    for file in task.places.attacks.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return replace(task, places=replace(task.places, attacks=folder))


@pytest.mark.parametrize("run", ["mid", "audio"])
def test_a_sound_run(attacked: Task, run: str) -> None:
    outcomes = check_run(replace(attacked, run=run))
    assert [outcome.name for outcome in outcomes] == NAMES
    found = by_name(outcomes)
    for name in set(NAMES) - UNSURE:
        assert found[name].status == "pass", found[name]
    other = "audio" if run == "mid" else "mid"
    made = f"audio from {other}{', video clean' if run == 'mid' else ''}"
    assert found["transfer"].message.endswith(f"; {made}")


@pytest.mark.parametrize("clips", [4, 8])
def test_a_run_attacked_on_waveforms(tmp_path: Path, clips: int) -> None:
    """The same checks through the front end; two of the seven clips are silent, one has no sound.

    Only eval clips have waveforms: a universal perturbation is fitted on those left over, or on
    every second one where none is.
    """
    task = _attacked(tmp_path, settings(domain="waveform", scale={"audio": 0.5, "video": 1}))
    checks = CHECKS.model_copy(update={"clips": clips})
    outcomes = check_run(replace(task, checks=checks))
    assert [outcome.name for outcome in outcomes] == NAMES
    found = by_name(outcomes)
    silent = {"zero_or_nan_gradient"}
    for name in set(NAMES) - UNSURE - silent:
        assert found[name].status == "pass", found[name]


@pytest.mark.parametrize("clips", [4, 7])
def test_where_eval_alone_has_clips_one_perturbation_is_fitted_on_its_others(
    attacked: Task, tmp_path: Path, clips: int
) -> None:
    """Where all of the seven are probed, on every second one."""
    shards = shutil.copytree(attacked.places.shards, tmp_path / "shards")
    manifest = read_manifest(shards)
    manifest["clips"]["val"] = {"count": 0, "sha256": ids_hash([]), "files": []}
    publish_json(manifest, shards / MANIFEST_NAME)
    task = replace(attacked, places=replace(attacked.places, shards=shards))
    run = AttackedRun.load(task.places.models / "mid", shards, task.attack, torch.device("cpu"))
    rows, table = drawn(7, clips, 0), AttackScores(task.places.attacks / "mid.parquet")
    outcome = check_universal(_probe(task, run, table, rows), run, rows, 3)
    assert outcome.status == "pass", outcome


def test_no_other_run_is_said(attacked: Task) -> None:
    found = by_name(check_run(replace(attacked, runs=("mid",))))
    assert found["transfer"].status == "warn"
    assert found["transfer"].message == "not measured: no other run reads audio or video"


def test_a_run_of_one_modality_has_no_joint_attack_and_may_have_no_source(attacked: Task) -> None:
    found = by_name(check_run(replace(attacked, run="audio", runs=("audio",))))
    assert list(found) == NAMES
    assert found["joint_beats_single"].status == "pass"
    assert "there is no joint attack" in found["joint_beats_single"].message
    assert found["transfer"].message == "not measured: no other run reads audio"


def test_no_run_has_no_outcome(attacked: Task, tmp_path: Path) -> None:
    given = ((), attacked.places, attacked.attack, CHECKS, 0, 80.0)
    found = check_runs(*given, scratch=Scratch("check", "none", tmp_path))
    assert summary(found) == {"total": {"pass": 0, "warn": 0, "fail": 0}}


def test_what_was_found_of_a_run_counts_as_long_as_its_tables_are_the_same(
    attacked: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "attacks").mkdir()
    task, outcome = moved(attacked, tmp_path / "attacks"), Outcome("x", "pass", "")
    monkeypatch.setattr(checking, "check_run", lambda task: [outcome._replace(message=task.run)])

    def run() -> tuple[Path, dict[str, list[Outcome]]]:
        given = (task.runs, task.places, task.attack, task.checks, task.seed, task.floor_db)
        scratch = checking.progress(*given)
        return scratch.directory, check_runs(*given, scratch=scratch)

    kept, first = run()
    assert {name: outcomes[0].message for name, outcomes in first.items()} == dict(
        zip(task.runs, task.runs, strict=True)
    )
    monkeypatch.setattr(checking, "check_run", lambda task: pytest.fail("it was checked already"))
    assert run() == (kept, first)
    monkeypatch.setattr(checking, "check_run", lambda task: [])
    path = task.places.attacks / f"{task.runs[0]}.parquet"
    table = read_parquet(path)
    write_table(table.slice(0, len(table) - 1), path)
    assert run() == (ANY, {name: [] for name in task.runs})


def test_tampered_examples_are_found_out(attacked: Task, tmp_path: Path) -> None:
    task = moved(attacked, tmp_path)
    table = pq.read_table(tmp_path / "mid-examples.parquet")
    place = table.schema.get_field_index("adversarial_audio")
    swapped = pa.array(table["adversarial_audio"].to_pylist()[::-1])
    changed = table.set_column(place, "adversarial_audio", swapped)
    write_table(changed, tmp_path / "mid-examples.parquet")
    found = by_name(check_run(task))
    assert found["budget_exact"].status == "fail"
    assert found["reload_rescore"].status == "fail"


def test_a_recorded_norm_over_its_budget_is_found_out(attacked: Task, tmp_path: Path) -> None:
    """A projection that lets 0.01 % through, on clips that were not kept whole."""
    task = moved(attacked, tmp_path)
    table = pq.read_table(tmp_path / "mid.parquet")
    place = table.schema.get_field_index("norm_video")
    longer = pyarrow.compute.multiply(table["norm_video"], 1.0001)
    write_table(table.set_column(place, "norm_video", longer), tmp_path / "mid.parquet")
    found = by_name(check_run(task))
    assert found["budget_exact"].status == "fail"
    assert "video under" in found["budget_exact"].message


def test_scores_of_another_model_are_found_out(attacked: Task, tmp_path: Path) -> None:
    """The strongest budget's scores replaced by clean ones: noise and smaller budgets beat them."""
    task = moved(attacked, tmp_path)
    table = pq.read_table(tmp_path / "mid.parquet")
    rows = table.to_pylist()
    clean = {row["clip_id"]: row["scores"] for row in rows if row["threat"] == "clean"}
    scores = [
        clean[row["clip_id"]] if (row["attack"], row["eps"]) == ("pgd", 0.08) else row["scores"]
        for row in rows
    ]
    place = table.schema.get_field_index("scores")
    field = table.schema.field(place)
    changed = table.set_column(place, field, pa.array(scores, field.type))
    write_table(changed, tmp_path / "mid.parquet")
    found = by_name(check_run(task))
    assert found["worst_case_per_clip"].status == "fail"
    assert "at 0.08" in found["worst_case_per_clip"].message


def test_no_examples_warn(attacked: Task, tmp_path: Path) -> None:
    task = moved(attacked, tmp_path)
    write_table(pa.table({"clip_id": pa.array([], pa.string())}), tmp_path / "mid-examples.parquet")
    found = by_name(check_run(task))
    assert found["reload_rescore"].status == found["budget_exact"].status == "warn"


def test_other_clips_are_refused(attacked: Task, tmp_path: Path) -> None:
    task = moved(attacked, tmp_path)
    table = pq.read_table(tmp_path / "mid.parquet")
    kept = table.filter(pyarrow.compute.not_equal(table["clip_id"], "clip-3"))
    write_table(kept, tmp_path / "mid.parquet")
    with pytest.raises(UserError, match="attacked other clips"):
        check_run(task)


@pytest.mark.parametrize("on_failure", ["report", "stop"])
def test_the_stage_says_failures_and_keeps_every_outcome(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    on_failure: str,
) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("on_failure: report", f"on_failure: {on_failure}")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def checked(task: Task) -> list[Outcome]:
        status = "fail" if task.run == "mid" else "pass"
        return [Outcome("gradient_flow", status, "differs by 0.9")]  # type: ignore[arg-type]

    monkeypatch.setattr("mmlib.evaluation.checks.check.check_run", checked)
    monkeypatch.setattr("stages.check.progress", lambda *given: Scratch("check", "here"))
    if on_failure == "stop":
        with pytest.raises(UserError, match=r"1 checks fail: mid: gradient_flow"):
            check.main([])
    else:
        check.main([])
    assert "check: mid: gradient_flow FAILS: differs by 0.9" in capsys.readouterr().err
    written = json.loads((tmp_path / "metrics/checks.json").read_text())
    assert written["total"] == {"pass": 5, "warn": 0, "fail": 1}
    assert written["mid"]["fail"] == 1
    assert written["mid"]["outcomes"][0]["message"] == "differs by 0.9"
    with pytest.raises(UserError, match="usage"):
        check.main(["mid"])


def test_draws_are_the_same_for_every_run() -> None:
    rows = drawn(100, 10, 5)
    assert np.array_equal(rows, drawn(100, 10, 5))
    assert len(set(rows.tolist())) == 10
    assert drawn(4, 10, 5).tolist() == [0, 1, 2, 3]
