"""The page where artefacts of a run are absent, or left over from runs that params.yaml had."""

import shutil
from pathlib import Path

from ruamel.yaml import YAML

from mmlib.params.whole import file as whole
from mmlib.report import inputs
from mmlib.report.questions.answer import NOT_ANSWERED
from mmlib.report.sections.measured import lede
from tests.report.conftest import render
from tests.report.pages import NO_THEOREM, elsewhere, ids, made, render_with, sound, verdicts, words


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
