"""Pages of fake projects, rendered for any params, and what every page must be."""

import re
from pathlib import Path

from mmlib.params.retraining import RetrainRun
from mmlib.params.whole.file import Params
from mmlib.report import findings, inputs, page
from mmlib.report.answers import answer
from tests.report import fake_project
from tests.report.markup import Page

NEVER = re.compile(r"\b(None|nan|NaN|inf)\b|\{\}|\[\]|\(\)| \.(?!\d)|“”|‘’")
"""What a page says when a value that is not there was written all the same."""


NO_THEOREM = "Stage theorem is off, because theorem.fused in params.yaml is empty"


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
