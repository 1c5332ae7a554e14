import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import Markup

from mmlib.evaluation.checks.outcome import (
    Outcome,
    summary,
)
from mmlib.params.whole import file as whole
from mmlib.report import findings, inputs
from mmlib.report.questions.retraining import ONE_SEED
from mmlib.report.sections.checks import checks
from mmlib.report.sections.theorem import survivors, theorem
from mmlib.runtime.errors import UserError
from tests.report import fake_project
from tests.report.conftest import render
from tests.report.markup import Page

SECTIONS = (
    *("answers", "robustness", "scores", "classes", "retraining", "blend", "training", "claims"),
    *("measured", "clips", "off", "reproduce"),
)


def sections(page: Page) -> list[str]:
    return [link[1:] for link in page.links if re.fullmatch(r"#[a-z]+", link)]


def test_the_page_is_well_formed(html: str) -> None:
    page = Page(html)
    assert page.faults == []
    assert page.open_tags == []
    assert len(page.ids) == len(set(page.ids))
    for svg in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL):
        ElementTree.fromstring(svg)


def test_the_page_needs_nothing_else(html: str) -> None:
    page = Page(html)
    assert not {"script", "link", "iframe", "object"} & page.tags
    assert all(link.startswith(("#", "cards/")) for link in page.links)
    assert all(source.startswith("data:") for source in page.sources)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    # the settings at the end may name a site; nothing is fetched from it
    assert "://" not in re.sub(r"<pre>.*?</pre>", "", html, flags=re.DOTALL)


def test_every_section_is_there_and_in_the_contents(html: str) -> None:
    page = Page(html)
    assert tuple(sections(page)) == SECTIONS
    assert set(SECTIONS) <= set(page.ids)


def test_the_same_artefacts_give_the_same_bytes(project: Path, html: str) -> None:
    assert render(project) == html


def test_our_numbers_stand_beside_the_papers(project: Path, html: str) -> None:
    text = Page(html).text
    ours = json.loads((project / "metrics/gblend.json").read_text())
    assert f"{ours['AV']['mAP']:.3f}" in text
    for paper in ("0.427", "0.971", "2.686", "0.234", "1.983", "0.199"):
        assert paper in text


def test_a_guide_s_dose_is_shown_and_a_weak_one_is_said_to_test_nothing(html: str) -> None:
    text = Page(html).text
    assert "The dose of mixup" in html
    assert "1.00 to 1.23" in text
    assert "Guidance by “temperature”: not tested: the guidance barely differs from none" in text
    assert "Whether the metrics help is not tested" in text


def test_weights_of_the_heads_stand_with_their_intervals(tmp_path: Path) -> None:
    root = fake_project.write(tmp_path, clips=40, examples=False)
    text = Page(render(root)).text
    for shown in ("0.310 0.210–0.360", "0.260 0.200–0.370", "0.430 0.380–0.470", "0.384"):
        assert shown in text
    assert "Guide “blend”: V and A share their weight: their intervals overlap." in text
    assert "Run gblend is trained with it." in text
    assert "It took 960 passes forward and 920 backward" in text
    assert "from where run mid began, and measured after epochs 1 and 5 on 60 clips of val" in text
    third = dict.fromkeys(("A", "V", "AV"), 1 / 3)
    uniform = fake_project.BLEND | {"heads": third, "why": "uniform weights: they overlap"}
    (root / "data/guides/blend.json").write_text(json.dumps(uniform))
    text = Page(render(root)).text
    assert "Guide “blend”: uniform weights: they overlap." in text
    assert "“blend”: used 0.333 0.333 0.333" in text


def test_every_clip_is_accounted_for(project: Path, html: str) -> None:
    text = Page(html).text
    assert "7 leak identical" in text
    assert "2 timeout" in text
    assert "ffmpeg 9.0.2" in text
    assert "0123456789ab" in text
    assert "near-duplicate audio" in text
    assert "cut_short the file is cut short 2" in text
    assert "eval-1: <b>no</b> end" in text
    ours = json.loads((project / "metrics/gblend.json").read_text())["clean"]
    assert f"{ours['mAP_lowest']:.3f}–{ours['mAP_highest']:.3f}" in text


def test_nothing_missing_needs_no_column_for_it(tmp_path: Path) -> None:
    root = fake_project.write(tmp_path, runs=("mid",), clips=40, examples=False)
    path = root / "metrics/mid.json"
    values = json.loads(path.read_text())
    values["clean"]["mAP_lowest"] = values["clean"]["mAP_highest"] = values["clean"]["mAP"]
    path.write_text(json.dumps(values))
    assert ">all clips<" not in render(root)


def test_budgets_have_their_units(html: str) -> None:
    text = Page(html).text
    assert "0.02 of the 80 dB scale = 1.6 dB of log-mel" in text
    assert "5.1 grey levels of 255" in text
    for setting in ("eps 0.02", "scale.audio 1.0", "norm linf", "loss bce", "restarts 1"):
        assert setting in text


def test_every_run_keeps_one_colour(html: str) -> None:
    """mixup is the fifth of params.runs: its marks in drawings and legends are variable 4."""
    curves = re.search(r"<svg [^>]*both attacked.*?</svg>", html, flags=re.DOTALL)
    assert curves
    assert {"--c2", "--c3", "--c4", "--c5"} <= set(re.findall(r"--c\d", curves.group()))
    assert "--c0" not in curves.group()
    legend = re.search(r'<li><svg class="chip"[^>]*>((?:(?!</svg>).)*)</svg>mixup</li>', html)
    assert legend
    assert set(re.findall(r"--c\d", legend.group(1))) == {"--c4"}


def test_answers_follow_the_data(tmp_path: Path) -> None:
    """Swap the scores of mixup and adversarial training: the difference of these two turns round.

    The verdict on the methods stays: there is one seed of each.
    """
    root = fake_project.write(tmp_path, examples=False)
    before = Page(render(root)).text
    for folder, suffix in (("data/attacks", "parquet"), ("metrics", "json")):
        one, two = (root / folder / f"{run}.{suffix}" for run in ("mixup", "adversarial"))
        shutil.move(one, tmp_path / "kept")
        shutil.move(two, one)
        shutil.move(tmp_path / "kept", two)
    after = Page(render(root)).text
    assert "mixup less adversarial training, attacked, −0." in before
    assert "mixup less adversarial training, attacked, +0." in after
    for text in (before, after):
        assert ONE_SEED in text
        assert "one seed: no verdict on the method" in text


@pytest.mark.parametrize(
    ("runs", "title"),
    [
        (("audio",), "Cost of training"),
        (("mid", "adversarial"), "Retraining and its cost"),
        (("video", "gblend", "mixup"), "Retraining and its cost"),
    ],
)
def test_fewer_runs_give_a_smaller_page(tmp_path: Path, runs: tuple[str, ...], title: str) -> None:
    page = Page(render(fake_project.write(tmp_path, runs=runs, clips=40, examples=False)))
    assert page.faults == []
    assert set(SECTIONS) - {"blend"} <= set(sections(page))
    assert title in page.text
    assert "Not answered by these runs." in page.text
    assert all(run in page.text for run in runs)


def test_single_label_shows_accuracy(tmp_path: Path) -> None:
    root = fake_project.write(
        tmp_path, runs=("audio", "mid"), task="single_label", clips=40, examples=False
    )
    assert "accuracy" in Page(render(root)).text


def test_a_run_without_scores_is_named(tmp_path: Path) -> None:
    root = fake_project.write(tmp_path, clips=40, examples=False)
    for path in root.glob("**/mixup*"):
        path.unlink()
    text = Page(render(root)).text
    assert "because they have no scores: mixup." in text


def test_metrics_alone_make_a_page(tmp_path: Path) -> None:
    root = fake_project.write(tmp_path, clips=40)
    shutil.rmtree(root / "data")
    for folder in ("curves", "classwise", "training", "costs"):
        shutil.rmtree(root / "metrics" / folder)
    page = Page(render(root))
    assert sections(page) == ["answers", "scores", "measured", "off", "reproduce"]


def test_no_metrics_is_an_error(tmp_path: Path) -> None:
    root = fake_project.write(tmp_path, runs=("mid",), clips=40)
    (root / "metrics/mid.json").unlink()
    with pytest.raises(UserError, match="no run of params"):
        inputs.load(whole.load(root / "params.yaml"), root)


def test_a_broken_artefact_is_one_clear_line(tmp_path: Path) -> None:
    root = fake_project.write(tmp_path, runs=("mid",), clips=40)
    (root / "metrics/mid.json").write_text("{")
    with pytest.raises(UserError, match=r"mid\.json: cannot be read as JSON"):
        inputs.load(whole.load(root / "params.yaml"), root)


def test_names_from_the_data_are_never_markup(tmp_path: Path) -> None:
    root = fake_project.write(tmp_path, runs=("mid",), clips=40, examples=False)
    hostile = "<script>alert(1)</script>"
    for path in (root / "data/shards/manifest.json", root / "metrics/classwise/mid.csv"):
        path.write_text(path.read_text().replace("Siren", hostile))
    page = Page(render(root))
    assert page.faults == []
    assert "script" not in page.tags
    assert hostile in page.text


def test_checks_are_marked_by_run_and_those_that_trip_are_worded(tmp_path: Path) -> None:
    root = fake_project.write(tmp_path, runs=("audio", "mid"), clips=20, examples=False)
    found = {
        "audio": [Outcome("random_noise", "fail", "beats the attack")],
        "mid": [Outcome("random_noise", "pass", "below"), Outcome("monotone_eps", "warn", "rises")],
    }
    (root / "metrics/checks.json").write_text(json.dumps(summary(found)))
    section = checks(inputs.load(whole.load(root / "params.yaml"), root))
    assert section is not None
    line, matrix, tripped, everything = section.blocks
    assert line.body.startswith("1 pass, 1 warn, 1 fail. Read the numbers of the runs that fail")
    assert [row.name for row in matrix.body.rows] == ["random noise", "monotone eps"]
    marks = [[Markup(cell.text).striptags() for cell in row.cells] for row in matrix.body.rows]
    assert marks == [["✗", "✓"], ["–", "!"]]
    assert [row.name for row in tripped.body.rows] == ["audio: random noise", "mid: monotone eps"]
    assert [row.cells[1].text for row in tripped.body.rows] == ["beats the attack", "rises"]
    assert len(everything.body.rows) == 3
    page = Page(render(root))
    assert page.faults == []
    assert "checks" in sections(page)
    assert "beats the attack" in page.text


def test_the_plane_is_drawn_with_its_totals(tmp_path: Path) -> None:
    root = fake_project.write(tmp_path, runs=("audio", "mid"), clips=20, examples=False)
    for folder in ("surface", "isodamage"):
        (root / "metrics" / folder).mkdir()
    rows = [f"{a},{v},{0.8 - 10 * a - 2 * v:.6f},0,1" for a in (0, 0.02) for v in (0, 0.02)]
    text = "\n".join(["eps_audio,eps_video,mAP,lo,hi", *rows])
    (root / "metrics/surface/mid.csv").write_text(text)
    (root / "metrics/surface/audio.csv").write_text("eps_audio,eps_video,mAP,lo,hi\n")
    (root / "metrics/isodamage/mid.csv").write_text(
        "kept,eps_audio,eps_video\n0.9,0.004,0.02\n0.9,0.008,0\n"
    )
    metrics = json.loads((root / "metrics/mid.json").read_text())
    metrics["matched_total"] = {"A": 0.61, "shared": 0.59, "shared_audio": 0.9, "shared_video": 0.1}
    metrics["equal_damage"] = {"as_A": {"V": 2.5}}
    (root / "metrics/mid.json").write_text(json.dumps(metrics))
    html = render(root)
    page = Page(html)
    assert page.faults == []
    assert "plane" in sections(page)
    drawing = re.search(r"<svg [^>]*mAP of mid against.*?</svg>", html, flags=re.DOTALL)
    assert drawing
    ElementTree.fromstring(drawing.group())
    for figure in ("0.800", "0.560", "90%"):
        assert figure in drawing.group()
    assert "mid: 90 % on audio, 10 % on video" in page.text
    assert "mid: V needs 2.5 ε to do as much damage as A at ε." in page.text


def test_worst_cases_stand_under_the_curves(tmp_path: Path) -> None:
    root = fake_project.write(tmp_path, runs=("mid",), clips=20, examples=False)
    metrics = json.loads((root / "metrics/mid.json").read_text())
    figures = {"lowest_of_stored": 0.207, "top_kept": 0.45, "pairs_misranked": 0.6}
    metrics["worst_case"] = {"A": figures, "AV": figures | {"lowest_of_stored": None}}
    (root / "metrics/mid.json").write_text(json.dumps(metrics))
    page = Page(render(root))
    assert page.faults == []
    assert "Show the worst case of each clip" in page.text
    assert "0.207" in page.text
    assert "0.450" in page.text


def test_theorem_is_a_claim_and_a_sentence(tmp_path: Path) -> None:
    root = fake_project.write(tmp_path, runs=("audio", "video", "mid"), clips=20, examples=False)
    counts = {
        "counted": 80, "fused_first": 20, "alone_first": 50, "equal": 10,
        "share": 0.25, "share_lo": 0.16, "share_hi": 0.36,
    }  # fmt: skip
    (root / "metrics/theorem/mid.json").write_text(json.dumps({"A": counts}))
    text = Page(render(root)).text
    assert "(Theorem 1; radii found by an attack are upper bounds)" in text
    assert "mid breaks first on 20, audio on 50, and they tie on 10 of the 80 clips" in text
    assert "Clip by clip, with only the audio attacked, mid breaks first on 20, audio on 50" in text
    assert "when clean, so fusion first on 25 % (16 % to 36 %). Radii found" in text


def test_theorem_s_radii_are_security_curves(tmp_path: Path) -> None:
    root = fake_project.write(tmp_path, runs=("audio", "video", "mid"), clips=20, examples=False)
    counts = {
        "counted": 2, "fused_first": 1, "alone_first": 1, "equal": 0,
        "share": 0.5, "share_lo": 0.01, "share_hi": 0.99,
    }  # fmt: skip
    (root / "metrics/theorem/mid.json").write_text(json.dumps({"A": counts}))
    assert "theorem" not in sections(Page(render(root)))
    (root / "data/theorem/mid.csv").write_text(
        "clip_id,threat,radius_alone,radius_fused\na,A,1.5,0.5\nb,A,2,inf\nc,A,0,0\n"
    )
    page = Page(render(root))
    assert page.faults == []
    assert "theorem" in sections(page)
    assert "mid and audio, only audio attacked" in page.text
    assert "Of 2 clips that both get right, mid breaks first on 1 (1 % to 99 %), audio on 1" in (
        page.text
    )


def test_theorem_of_several_fused_runs_has_their_panels_and_claims(tmp_path: Path) -> None:
    runs = ("audio", "video", "mid", "gblend")
    root = fake_project.write(tmp_path, runs=runs, clips=20, examples=False)
    for name, first in (("mid", 1), ("gblend", 2)):
        counts = {
            "counted": 2, "fused_first": first, "alone_first": 0, "equal": 2 - first,
            "share": first / 2, "share_lo": 0.01, "share_hi": 0.99,
        }  # fmt: skip
        (root / f"metrics/theorem/{name}.json").write_text(json.dumps({"A": counts, "V": counts}))
        rows = [f"a,{threat},1.5,0.5\nb,{threat},2,inf\n" for threat in "AV"]
        (root / f"data/theorem/{name}.csv").write_text(
            "clip_id,threat,radius_alone,radius_fused\n" + "".join(rows)
        )
    settings = whole.load(root / "params.yaml")
    compared = dict.fromkeys(("mid", "gblend"), settings.theorem.fused["mid"])
    section = settings.theorem.model_copy(update={"fused": compared})
    found = inputs.load(settings.model_copy(update={"theorem": section}), root)
    drawn = findings.find(found)
    keys = [key for key in drawn.claims if key.startswith("theorem")]
    assert keys == ["theorem_A", "theorem_V", "theorem_A_gblend", "theorem_V_gblend"]
    assert drawn.claims["theorem_A_gblend"].compared.startswith("gblend breaks first on 2, audio")
    shown = theorem(found)
    assert shown is not None
    titles = [panel.title for panel in shown.blocks[1].body]
    assert titles == [
        f"{fused} and {alone}, only {alone} attacked"
        for fused in ("mid", "gblend")
        for alone in ("audio", "video")
    ]


def test_survivors_step_down_where_a_clip_breaks() -> None:
    x, y = survivors(np.array([2.0, 0.0, np.inf, 0.5]), reach=8.0)
    np.testing.assert_allclose(x, [0, 0.5, 2, 8])
    np.testing.assert_allclose(y, [0.75, 0.5, 0.25, 0.25])


@pytest.mark.slow
def test_examples_are_seen_and_heard(tmp_path: Path) -> None:
    page = Page(render(fake_project.write(tmp_path, runs=("mid",), clips=40)))
    assert "examples" in sections(page)
    kinds = [source.split(";")[0] for source in page.sources]
    assert kinds.count("data:image/png") == 2 * 6
    assert kinds.count("data:audio/wav") == 2 * 2
