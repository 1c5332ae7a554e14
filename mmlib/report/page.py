"""One self-contained HTML page from the sections that the artefacts allow."""

from collections.abc import Sequence
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from mmlib.report import theme
from mmlib.report.findings import Findings
from mmlib.report.inputs import Inputs
from mmlib.report.questions.answer import Answer
from mmlib.report.sections.answers import answer_box
from mmlib.report.sections.blending import blend
from mmlib.report.sections.blocks import Section
from mmlib.report.sections.certificates import certificates
from mmlib.report.sections.checks import checks
from mmlib.report.sections.classes import classes
from mmlib.report.sections.clips import clips
from mmlib.report.sections.closing import (
    adversarial_clips,
    claims,
    reproduce,
)
from mmlib.report.sections.goals import goals
from mmlib.report.sections.measured import lede, measured
from mmlib.report.sections.methods import methods
from mmlib.report.sections.off import off
from mmlib.report.sections.results import robustness, scores
from mmlib.report.sections.stress import stress
from mmlib.report.sections.study import study
from mmlib.report.sections.surface import surface
from mmlib.report.sections.theorem import theorem
from mmlib.report.sections.training import retraining, training
from mmlib.report.sections.transfer import transfer

_SHAPES = {
    "o": '<circle cx="10" cy="6" r="3.4"/>',
    "s": '<rect x="6.8" y="2.8" width="6.4" height="6.4"/>',
    "^": '<path d="M10 2 L14 9 L6 9 Z"/>',
    "D": '<path d="M10 1.6 L14.4 6 L10 10.4 L5.6 6 Z"/>',
    "v": '<path d="M10 10 L14 3 L6 3 Z"/>',
    "P": '<path d="M8.6 2h2.8v2.6H14v2.8h-2.6V10H8.6V7.4H6V4.6h2.6Z"/>',
    "X": '<path d="m7 2 3 3 3-3 1.2 1.2L11.4 6l2.8 2.8L13 10l-3-3-3 3-1.2-1.2L8.6 6 5.8 3.2z"/>',
    "h": '<path d="M10 1.8 13.7 3.9v4.2L10 10.2 6.3 8.1V3.9Z"/>',
}


def render(inputs: Inputs, findings: Findings, answers: Sequence[Answer]) -> str:
    """The page as HTML, the answers first; the same inputs give the same bytes.

    Raises UserError on broken artefacts.
    """
    built: Sequence[Section | None] = (
        answer_box(inputs, answers),
        robustness(inputs),
        scores(inputs),
        surface(inputs),
        theorem(inputs),
        methods(inputs),
        goals(inputs),
        transfer(inputs),
        stress(inputs),
        certificates(inputs),
        classes(inputs, findings),
        retraining(inputs),
        blend(inputs),
        study(inputs, findings),
        training(inputs),
        adversarial_clips(inputs),
        claims(findings, inputs.params.score.confidence),
        checks(inputs),
        measured(inputs),
        clips(inputs),
    )
    shown = {section.id for section in built if section is not None}
    whole = (*built, off(inputs, shown), reproduce(inputs))
    present = [section for section in whole if section is not None]
    light, dark = theme.css_variables()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    source = (files("mmlib.report") / "template.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        title=inputs.params.report.title,
        lede=lede(inputs),
        sections=present,
        palette={"light": Markup(light), "dark": Markup(dark)},
        glyphs=[_glyph(index) for index in range(len(inputs.runs) + len(inputs.missing))],
    )


def _glyph(index: int) -> Markup:
    """The run's line and marker, as in the drawings: 20 × 12 units."""
    colour = f"var(--c{index % len(theme.LIGHT)})"
    shape = _SHAPES[theme.series_marker(index)]
    line = f'<line x1="0" y1="6" x2="20" y2="6" stroke="{colour}" stroke-width="2"/>'
    return Markup(f'{line}<g fill="{colour}">{shape}</g>')
