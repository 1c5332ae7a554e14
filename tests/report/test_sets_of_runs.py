"""The page of any set of runs: sections that the runs allow, a sentence for each other one."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from mmlib.params.training import FRESH, ModelRow
from mmlib.params.whole import file as whole
from mmlib.report import exports, findings, inputs
from mmlib.report.answers import answer
from mmlib.report.questions.answer import NOT_ANSWERED
from mmlib.report.questions.fusion import below_one_level, strangers, trained_on
from mmlib.report.questions.retraining import ONE_SEED
from mmlib.runtime.storage import read_csv, records_csv
from tests.conftest import ROOT
from tests.report import fake_project
from tests.report.conftest import render
from tests.report.pages import NO_THEOREM, elsewhere, ids, made, render_with, sound, verdicts, words

ROWS = whole.load(ROOT / "params.yaml")


def test_no_run_at_all(tmp_path: Path) -> None:
    root = made(tmp_path)
    html = render(root)
    text = sound(html)
    assert ids(html) == ["answers", "measured", "clips", "off", "reproduce"]
    assert verdicts(html) == [NOT_ANSWERED] * 3
    assert "No model was evaluated." in text
    assert "none of train, retrain and models in params.yaml has a row: add one" in text
    assert "It takes a fused run and a run of one modality, attacked alike." in text
    assert "It takes classes whose convexity and density were measured" in text
    assert "It takes a run retrained with mixup and one retrained adversarially." in text
    assert "Stage temperature is off, because temperature.guides in params.yaml is empty" in text
    found = inputs.load(whole.load(root / "params.yaml"), root)
    drawn = findings.find(found)
    printed = exports.results_text(found, answer(found, drawn))
    assert printed.startswith("No run was evaluated.\n")
    assert exports.claims_csv(drawn).count("\n") == 1


def test_nothing_trained_here_and_nothing_on_disk(tmp_path: Path) -> None:
    root = made(tmp_path)
    shutil.rmtree(root / "data")
    settings = whole.load(root / "params.yaml")
    html = render_with(root, settings.model_copy(update={"train": {}, "retrain": {}}))
    text = sound(html)
    assert ids(html) == ["answers", "measured", "off", "reproduce"]
    assert "Stage blend is off, because blend.guides in params.yaml is empty" in text
    assert "data/shards/manifest.json is not there: “dvc repro shard” writes it." in text


@pytest.mark.parametrize(
    ("run", "other", "threat"), [("audio", "video", "A"), ("video", "audio", "V")]
)
def test_one_run_of_one_modality(tmp_path: Path, run: str, other: str, threat: str) -> None:
    html = render(made(tmp_path, run))
    text = sound(html)
    assert {"robustness", "scores", "classes", "training", "claims", "off"} <= set(ids(html))
    assert not {"plane", "theorem", "study", "examples"} & set(ids(html))
    answers = verdicts(html)
    assert answers[0] == answers[2] == NOT_ANSWERED
    assert answers[1] != NOT_ANSWERED
    assert f"It takes a fused run of train, not a retrained one, beside {run}." in text
    assert f"{run.capitalize()} attacked ({threat})" in text
    assert f"{other.capitalize()} attacked" not in text
    assert f"Over 12 classes of {run} under {threat}," in text
    budget = "1.6 dB in the audio" if run == "audio" else "5.1 grey levels in the video"
    assert f"attacked by changes of at most {budget}." in text
    assert "Audio and video budgets combined. It takes a fused run, and none was" in text
    assert NO_THEOREM in text
    assert "No run here is retrained: add a row to retrain in params.yaml" in text
    assert "all of “1. Fusion against its parts” and “3. Mixup against" in text


def test_two_modalities_that_are_never_fused(tmp_path: Path) -> None:
    html = render(made(tmp_path, "audio", "video"))
    text = sound(html)
    assert verdicts(html)[0] == verdicts(html)[2] == NOT_ANSWERED
    assert "It takes a fused run of train, not a retrained one, beside audio." in text
    assert NO_THEOREM in text


def test_a_fused_run_alone(tmp_path: Path) -> None:
    html = render(made(tmp_path, "mid"))
    text = sound(html)
    assert verdicts(html)[0] == NOT_ANSWERED
    assert "It takes a run of one modality, audio or video, beside the fused run mid." in text
    assert "It was attacked for no fused run: name one in attack.surface.runs." in text
    assert NO_THEOREM in text
    assert "An attack on A+V harms fusion more than one on A." in text


def test_a_part_answers_for_itself_and_the_other_is_said_to_be_missing(tmp_path: Path) -> None:
    html = render(made(tmp_path, "video", "mid"))
    text = sound(html)
    assert verdicts(html)[0] != NOT_ANSWERED
    assert "There is no audio model here to compare with." in text
    assert "audio alone" not in text


def test_one_retrained_run(tmp_path: Path) -> None:
    html = render(made(tmp_path, "audio", "mid", "mixup"))
    text = sound(html)
    assert verdicts(html)[2] == NOT_ANSWERED
    assert "retrained adversarially, and there is only mixup." in text
    start = "mid (joint training with one loss)."
    assert f"Of these two models, mixup retains more mAP under A+V than {start}" in text
    assert "one seed: no verdict on the method" in text


def test_retrained_runs_whose_start_is_not_here(tmp_path: Path) -> None:
    root = made(tmp_path, "mixup", "adversarial", "mid")
    html = render_with(
        root,
        elsewhere(
            whole.load(root / "params.yaml"), "mixup", "adversarial", retrain=dict(ROWS.retrain)
        ),
    )
    text = sound(html)
    assert verdicts(html)[0] == NOT_ANSWERED
    assert verdicts(html)[2] == ONE_SEED
    assert "starting model" not in text
    assert "mixup less adversarial training, attacked," in text


def test_everything(tmp_path: Path) -> None:
    html = render(made(tmp_path, *fake_project.CHARACTER))
    text = sound(html)
    assert NOT_ANSWERED not in text
    order = ["answers", "robustness", "scores", "claims", "measured", "clips", "off"]
    assert sorted(order, key=ids(html).index) == order
    assert ids(html)[0] == "answers"
    for word in ("sound", "picture", "surely", "goes on from", "a dot a class", "a row a"):
        assert word not in text, word


def test_runs_from_elsewhere_are_what_they_were_attacked_as(tmp_path: Path) -> None:
    """Neither train nor retrain has a row: audio and video are told by their attacks."""
    root = made(tmp_path, "audio", "mid")
    settings = whole.load(root / "params.yaml")
    here = elsewhere(settings, "audio", "mid")
    found = inputs.load(here, root)
    assert [(run.role, run.modalities, run.init) for run in found.runs] == [
        ("audio", ("audio",), None),
        ("fusion", ("audio", "video"), None),
    ]
    html = render_with(root, here)
    sound(html)
    assert verdicts(html)[0] == verdicts(render(root))[0]
    text = words(html)
    assert "Stage blend is off" in text
    retrained = {"mid": ROWS.retrain["mixup"]}
    kept = inputs.load(elsewhere(settings, "mid", retrain=retrained), root).named("mid")
    assert kept is not None
    assert (kept.role, kept.modalities, kept.init) == ("mixup", ("audio", "video"), "mid")


def test_models_of_one_s_own_alone(tmp_path: Path) -> None:
    """Nothing trained, nothing measured of an embedding, and no row of the paper beside them."""
    root = made(tmp_path, "audio", "mid")
    for run in ("audio", "mid"):
        path = root / f"metrics/classwise/{run}.csv"
        table = read_csv(path)
        bare = {"class_size", "kappa", "kappa_lo", "kappa_hi", "kappa_conditioned", "rho"}
        bare |= {"log_density"}
        kept = [{key: cell for key, cell in row.items() if key not in bare} for row in table]
        path.write_text(records_csv(kept), encoding="utf-8")
        (root / f"metrics/training/{run}.csv").unlink()
        (root / f"metrics/costs/{run}.json").unlink()
    row = ModelRow.model_validate(
        {
            "factory": "mine.py:make",
            "code": "mine.py",
            "weights": "data/none/start.json",
            "classes": "data/none/classes.csv",
            "options": {},
        }
    )
    settings = whole.load(root / "params.yaml")
    models = {"audio": row, "mid": row}
    own = settings.model_copy(update={"train": {}, "retrain": {}, "models": models})
    html = render_with(root, own)
    text = sound(html)
    assert not {"training", "retraining", "classes"} & set(ids(html))
    assert text.count("Nothing was trained here: every run is a row of models in params.yaml.") == 2
    assert "Density and convexity take an embedding and its head" in text
    assert "The paper's numbers are for AudioSet" not in text
    for run in ("audio", "mid"):
        assert f'href="cards/{run}.md"' in html
    assert strangers(inputs.load(own, root)) == (
        "mid and audio were trained elsewhere: these models may differ in more than whether they"
        " fuse, and the differences may be due to that."
    )
    assert "mid and audio were trained elsewhere" in text
    assert strangers(inputs.load(settings, root)) is None


def test_a_fused_run_that_went_on_from_its_parts_is_said_to_have_had_more_training(
    tmp_path: Path,
) -> None:
    root = made(tmp_path, "audio", "video", "mid")
    settings = whole.load(root / "params.yaml")
    found = trained_on(inputs.load(settings, root))
    assert found is not None
    assert found.startswith("mid was trained on from the weights of audio and video, so that it")
    none = {"audio_start": str(FRESH), "video_start": str(FRESH)}
    fresh = settings.train["mid"].model_copy(update=none)
    train = {**settings.train, "mid": fresh}
    assert trained_on(inputs.load(settings.model_copy(update={"train": train}), root)) is None
    assert trained_on(inputs.load(settings, made(tmp_path / "alone", "audio"))) is None


def test_a_budget_that_no_file_of_pictures_holds_is_said_so(tmp_path: Path) -> None:
    made(tmp_path, "mid")

    def said(root: Path, **changes: Any) -> str | None:
        settings = whole.load(root / "params.yaml")
        attack = settings.attack.model_copy(update=changes)
        return below_one_level(inputs.load(settings.model_copy(update={"attack": attack}), root))

    assert (said(tmp_path, eps=0.002) or "").startswith("The budget on video is 0.51 grey levels:")
    assert said(tmp_path, eps=0.004) is None
    assert said(tmp_path, eps=0.002, norm="l2") is None
    assert said(made(tmp_path / "alone", "audio"), eps=0.002) is None


def test_a_retrained_audio_run_is_not_set_beside_the_paper_s_fused_one(tmp_path: Path) -> None:
    root = made(tmp_path, "audio")
    settings = whole.load(root / "params.yaml")
    row = ROWS.retrain["adversarial"].model_copy(update={"init": "elsewhere"})
    html = render_with(root, settings.model_copy(update={"train": {}, "retrain": {"audio": row}}))
    text = sound(html)
    assert "paper, AudioSet" not in text
    assert "0.397" not in text
    assert "Retraining and its cost" in text
