"""The study on the page: its tables and sentences when it ran, one sentence when it is off."""

import re
from pathlib import Path

from tests import fake_study
from tests.report import fake_project
from tests.report.conftest import render


def section(html: str, name: str) -> str:
    found = re.search(rf'<section aria-labelledby="{name}".*?</section>', html, re.S)
    assert found is not None
    return re.sub(r"<[^>]+>", " ", found.group())


def test_a_study_that_is_off_is_one_sentence(html: str) -> None:
    assert 'aria-labelledby="study"' not in html
    assert section(html, "off").count("make profile NAME=study") == 1


def test_the_study_has_its_tables_sentences_and_claims(tmp_path: Path) -> None:
    root = fake_project.write(tmp_path, examples=False)
    fake_study.write(root)
    html = render(root)
    text = section(html, "study")
    for name in fake_study.ROWS:
        assert name in text
    assert "3 seeds per row" in text
    assert "2 degrees of freedom" in text
    assert "mixup_long − pgd = " in text
    assert "at equal passes.”" in text
    assert "0.550 / 0.530" in text
    assert "inf" not in text
    assert "Over several seeds, at equal passes" in section(html, "answers")
    assert "at equal epochs." in section(html, "claims")


def test_one_label_a_clip_has_its_accuracy(tmp_path: Path) -> None:
    root = fake_project.write(tmp_path, task="single_label", examples=False)
    fake_study.write(root, rows=("plain", "pgd"), accuracy=True)
    text = section(render(root), "study")
    assert "accuracy" in text
    assert text.count("0.625 to 0.625") == 4
