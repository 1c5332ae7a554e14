"""The page of any set of runs: sections that the runs allow, a sentence for each other one."""

import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from mmlib.params.retraining import RetrainRun
from mmlib.params.whole import file as whole
from mmlib.params.whole.file import Params
from mmlib.report import exports, findings, inputs, page
from mmlib.report.answers import answer
from mmlib.report.questions.answer import NOT_ANSWERED
from mmlib.report.sections.measured import lede
from tests.conftest import ROOT
from tests.report import fake_project
from tests.report.conftest import render
from tests.report.markup import Page

NEVER = re.compile(r"\b(None|nan|NaN|inf)\b|\{\}|\[\]|\(\)| \.(?!\d)|“”|‘’")
"""What a page says when a value that is not there was written all the same."""


NO_THEOREM = "Stage theorem is off, because theorem.fused in params.yaml is empty"
ROWS = whole.load(ROOT / "params.yaml")


def words(html: str) -> str:
    """What a reader sees, less the settings at the end, which are JSON."""
    return Page(re.sub(r"<pre>.*?</pre>", "", html, flags=re.DOTALL)).text


def sound(html: str) -> str:
    """Check that a page is whole and holds no empty table, figure or list; return its words."""
    parsed = Page(html)
    assert parsed.faults == []
    assert parsed.open_tags == []
    assert not re.search(r"<tbody>\s*</tbody>", html)
    assert not re.search(r'<div class="panels">\s*</div>', html)
    assert not re.search(r"<ul[^>]*>\s*</ul>", html)
    assert not re.search(r"<(p|h3|figcaption|td)[^>]*>\s*</\1>", html)
    text = words(html)
    found = NEVER.search(text)
    assert found is None, text[max(0, found.start() - 60) : found.end() + 60]
    return text


def made(root: Path, *runs: str, examples: bool = False) -> Path:
    return fake_project.write(root, runs=runs, clips=40, examples=examples)


def ids(html: str) -> list[str]:
    return re.findall(r'<section aria-labelledby="(\w+)"', html)


def verdicts(html: str) -> list[str]:
    return re.findall(r'<p class="verdict">(.*?)</p>', html)


def elsewhere(settings: Params, *runs: str, retrain: dict[str, RetrainRun] | None = None) -> Params:
    """The settings with runs that no row of train makes."""

    class Elsewhere(Params):
        @property
        def runs(self) -> tuple[str, ...]:
            return runs

    return Elsewhere.model_construct(**{**dict(settings), "train": {}, "retrain": retrain or {}})


def render_with(root: Path, settings: Params) -> str:
    found = inputs.load(settings, root)
    drawn = findings.find(found)
    return page.render(found, drawn, answer(found, drawn))


def test_no_run_at_all(tmp_path: Path) -> None:
    root = made(tmp_path)
    html = render(root)
    text = sound(html)
    assert ids(html) == ["answers", "measured", "clips", "off", "reproduce"]
    assert verdicts(html) == [NOT_ANSWERED] * 3
    assert "No model was evaluated." in text
    assert "neither train nor retrain in params.yaml has a row: add one" in text
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
    assert "Mixup protects fusion against A+V." in text


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
    assert verdicts(html)[2] == "No: adversarial training protects better."
    assert "starting model" not in text
    assert "protects fusion against" not in text


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


def test_a_retrained_audio_run_is_not_set_beside_the_paper_s_fused_one(tmp_path: Path) -> None:
    root = made(tmp_path, "audio")
    settings = whole.load(root / "params.yaml")
    row = ROWS.retrain["adversarial"].model_copy(update={"init": "elsewhere"})
    html = render_with(root, settings.model_copy(update={"train": {}, "retrain": {"audio": row}}))
    text = sound(html)
    assert "paper, AudioSet" not in text
    assert "0.397" not in text
    assert "Retraining and its cost" in text


def test_no_geometry_of_one_run_and_of_none(tmp_path: Path) -> None:
    root = made(tmp_path, "audio", "mid")
    geometry = ("class_size", "kappa", "rho", "log_density")
    strip(root / "metrics/classwise/mid.csv", geometry)
    html = render(root)
    text = sound(html)
    assert "Not measured: the classes of mid." in text
    assert "Over 12 classes of audio under A," in text
    strip(root / "metrics/classwise/audio.csv", geometry, keep_columns=True)
    html = render(root)
    text = sound(html)
    assert "classes" not in ids(html)
    assert verdicts(html)[1] == NOT_ANSWERED
    assert "at least 4 classes whose convexity or density is defined and differs" in text
    assert "“dvc repro geometry” measures them." in text


def strip(path: Path, prefixes: tuple[str, ...], *, keep_columns: bool = False) -> None:
    """Take the columns of these names out of a csv, or only what they hold."""
    lines = [line.split(",") for line in path.read_text().splitlines()]
    gone = [name.startswith(prefixes) for name in lines[0]]
    kept = [lines[0]] if keep_columns else []
    for line in lines[len(kept) :]:
        cells = zip(line, gone, strict=True)
        kept.append(
            ["" if out else cell for cell, out in cells]
            if keep_columns
            else [cell for cell, out in cells if not out]
        )
    path.write_text("\n".join(map(",".join, kept)) + "\n")


def test_what_an_earlier_set_of_runs_left_behind_is_not_shown(tmp_path: Path) -> None:
    """Radii and weights stay on disk when their stage is switched off."""
    root = made(tmp_path, "audio", "video", "mid")
    counts = '"counted": 9, "fused_first": 2, "alone_first": 3, "equal": 4, "share": 0.2'
    both = f'{{{counts}, "share_lo": 0.1, "share_hi": 0.4}}'
    (root / "metrics/theorem/mid.json").write_text(f'{{"A": {both}, "V": {both}}}')
    text = sound(render(root))
    assert "of the 9 clips that both get right" in text
    assert "blend" in ids(render(root))
    yaml = YAML()
    values = yaml.load((root / "params.yaml").read_text(encoding="utf-8"))
    values["theorem"]["fused"] = values["blend"]["guides"] = {}
    with (root / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
    html = render(root)
    text = sound(html)
    assert "of the 9 clips" not in text
    assert NO_THEOREM in text
    assert "blend" not in ids(html)
    assert "Stage blend is off, because blend.guides in params.yaml is empty" in text


def test_examples_that_are_not_kept(tmp_path: Path) -> None:
    root = made(tmp_path, "video")
    settings = whole.load(root / "params.yaml")
    assert "attack.examples above 0" not in words(render_with(root, settings))
    none_kept = settings.attack.model_copy(update={"examples": 0})
    html = render_with(root, settings.model_copy(update={"attack": none_kept}))
    assert "No adversarial clip is kept: set attack.examples above 0." in sound(html)


def test_a_run_that_was_never_attacked_claims_nothing(tmp_path: Path) -> None:
    root = made(tmp_path, "mid")
    (root / "metrics/mid.json").write_text('{"clean": {"mAP": 0.5}}')
    for folder in ("metrics/curves", "metrics/classwise", "data/attacks", "data/embeddings"):
        shutil.rmtree(root / folder)
    settings = elsewhere(whole.load(root / "params.yaml"), "mid")
    html = render_with(root, settings)
    text = sound(html)
    assert "claims" not in ids(html)
    assert lede(inputs.load(settings, root)) == "1 model, 40 clips of 12 classes."
    assert "No claim can be tested: “dvc repro” writes the scores in data/attacks." in text
