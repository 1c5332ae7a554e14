"""Table 1 of the paper with our numbers, and mAP against the budget."""

import numpy as np

from mmlib.evaluation.threat_card import scales
from mmlib.report import figures, threats, wording
from mmlib.report.figures import Line
from mmlib.report.inputs import Inputs, Run, band
from mmlib.report.sections.blocks import Block, Panel, Section, legend, rule
from mmlib.report.sections.perceptibility import perceptibility
from mmlib.report.sections.worst_case import worst_case
from mmlib.report.tables import PAPER, PAPER_ROWS, Cell, Group, Head, Row, Table

STORED = {"log_mel": "float16 log-mel", "waveform": "int16 sound"}


def scores(inputs: Inputs) -> Section:
    """Each run clean and under each threat, the paper's rows beside ours."""
    blocks = [Block("table", _scores_table(inputs))]
    ours = [run for run in inputs.runs if run.role in PAPER]
    if ours:
        pairs = [f"{run.name} beside its “{PAPER_ROWS[run.role]}”" for run in ours]
        note = (
            "The paper's numbers are AudioSet's, with larger nets and an unstated budget: compare"
            f" the order of the rows, not their height. We set {wording.listed(pairs)}."
        )
        blocks.append(Block("note", note))
    return Section("scores", "Scores, clean and attacked", blocks)


def _scores_table(inputs: Inputs) -> Table:
    single = inputs.params.data.task == "single_label"
    names = {"mAP": "mAP", "AUC": "AUC", "dprime": "d′"}
    names |= {"accuracy": "accuracy"} if single else {}
    partial = any(_whole(run, "clean").text != wording.MISSING for run in inputs.runs)
    rows = []
    for run in inputs.runs:
        for condition in ("clean", *run.threats):
            first = condition == "clean"
            cells = [Cell("none" if first else threats.SHORT[condition], kind="word")]
            cells += [_score(inputs, run, condition, key) for key in names]
            cells += [_whole(run, condition)] if partial else []
            cells.append(Cell(wording.number(run.value("quantised", condition))))
            cells.append(Cell(wording.percent(run.value(condition, "relative_drop"))))
            paper = PAPER.get(run.role, {}).get(condition, (None, None, None))
            cells += [Cell(wording.number(value)) for value in paper]
            rows.append(Row(run.name if first else "", cells, run.index if first else None, first))
    return Table(
        title="Scores, clean and attacked, beside the paper's",
        groups=(
            Group("", 2),
            Group("this data", len(names) + 2 + partial),
            Group("paper, AudioSet", 3),
        ),
        head=(
            Head("run", "word"),
            Head("attack", "word"),
            *(Head(name) for name in names.values()),
            *([Head("whole list")] if partial else []),
            Head("stored"),
            Head("mAP lost"),
            *(Head(name) for name in ("mAP", "AUC", "d′")),
        ),
        rows=rows,
        caption=(
            f"Beside mAP: the {wording.percent(inputs.params.score.confidence)} bootstrap interval"
            " over clips. Whole list, where clips are missing: mAP if they were ranked as badly and"
            " as well as can be. Stored: mAP when the attacked clip is rounded to uint8 pictures"
            f" and {STORED[inputs.params.attack.domain]}. Our d′ is √2 Φ⁻¹(AUC) throughout; the"
            " paper's attacked d′ do not follow from its AUC."
        ),
    )


def _whole(run: Run, condition: str) -> Cell:
    """Between what mAP lies for the whole list; a dash where no clip is missing."""
    low, high = (run.value(condition, f"mAP_{side}") for side in ("lowest", "highest"))
    if low is None or high is None or low == high:
        return Cell(wording.MISSING)
    return Cell(f"{wording.number(low)}–{wording.number(high)}")


def _score(inputs: Inputs, run: Run, condition: str, key: str) -> Cell:
    text = wording.number(run.value(condition, key))
    ends = band(run, condition, inputs.params.attack.eps) if key == "mAP" else None
    note = f"{wording.number(ends[0])}–{wording.number(ends[1])}" if ends else ""
    return Cell(text, note)


def robustness(inputs: Inputs) -> Section | None:
    """mAP against the budget, one panel a threat."""
    chance = _chance(inputs)
    panels = []
    for threat, title in threats.NAMES.items():
        lines = [_line(run, threat) for run in inputs.runs if threat in run.curve]
        if lines:
            svg = figures.robustness(
                lines,
                headline=inputs.params.attack.eps,
                chance=chance,
                name=f"curve-{threat}",
                label=f"mAP against budget, {title}",
            )
            panels.append(Panel(f"{_capital(title)} ({threats.SHORT[threat]})", svg))
    if not panels:
        return None
    caption = (
        "mAP on the eval clips against the attack's budget. A line that stays high is robust."
        f" Bands: {wording.percent(inputs.params.score.confidence)} bootstrap interval over clips."
        " Dotted: random noise of equal norm; what lies between a dotted line and its solid one is"
        " what the attack knows beyond noise. Below chance, true tags are ranked last."
        f"{scales(inputs.params.attack)}"
    )
    marks = (("noise of equal norm", rule("muted", "1.6 2.6")), ("chance", rule("muted", "6 3")))
    blocks = [legend(inputs.runs, *marks), Block("panels", panels, caption)]
    table = perceptibility(inputs)
    if table is not None:
        blocks.append(Block("table", table))
    worst = worst_case(inputs)
    if worst is not None:
        blocks.append(Block("details", worst, "Show the worst cases, clip by clip"))
    return Section("robustness", "Robustness curves", blocks)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _line(run: Run, threat: str) -> Line:
    ends = [run.curve.get(f"{threat}_{suffix}") for suffix in ("lo", "hi", "noise")]
    return Line(run.index, run.curve["eps"], run.curve[threat], *ends)


def _chance(inputs: Inputs) -> float | None:
    """mAP of a random ranking: the mean share of positives over the classes that have any."""
    clips = inputs.manifest.get("clips", {}).get("eval", {}).get("count")
    positives = next((r.classwise["n_eval"] for r in inputs.runs if "n_eval" in r.classwise), None)
    if not clips or positives is None or not (positives > 0).any():
        return None
    return float(np.mean(positives[positives > 0]) / clips)
