"""Table 1 of the paper with our numbers, and mAP against the budget."""

from collections.abc import Mapping

from mmlib.evaluation.threat_card import scales
from mmlib.metrics.ranking import present_mean, random_average_precision
from mmlib.report import figures, threats, wording
from mmlib.report.figures import Line
from mmlib.report.inputs import Inputs, Run, band
from mmlib.report.positives import positives, warning
from mmlib.report.sections.blocks import Block, Panel, Section, legend, rule
from mmlib.report.sections.perceptibility import perceptibility
from mmlib.report.sections.worst_case import worst_case
from mmlib.report.tables import PAPER, PAPER_AUDIO_NET, PAPER_ROWS, Cell, Group, Head, Row, Table

# Of simulated 95 % intervals 0.92 held the truth with 40 recordings, 0.88 with 20. [choice]
FEW_RECORDINGS = 30
STORED = {"log_mel": "float16 log-mel", "waveform": "int16 samples"}


def scores(inputs: Inputs) -> Section | None:
    """Each run clean and under each threat, the paper's rows beside ours; None without a run."""
    if not inputs.runs:
        return None
    blocks = [Block("table", _scores_table(inputs))]
    ours = [run for run in inputs.runs if _paper(run)]
    note = ""
    if ours:
        pairs = [f"{run.name} beside “{PAPER_ROWS[run.role]}”" for run in ours]
        note = (
            "The paper's numbers are for AudioSet, larger models and an unstated budget: compare"
            f" the order of the rows, not the values. The table sets {wording.listed(pairs)}."
        )
    note += _without_counterpart(inputs)
    if note:
        blocks.append(Block("note", note.strip()))
    return Section("scores", "Scores, clean and attacked", blocks)


def _paper(run: Run) -> Mapping[str, tuple[float, float, float]]:
    """The paper's figures for such a run: its audio model is a CNN14, all others read both.

    None for a model of one's own, of whatever kind.
    """
    if run.own:
        return {}
    alike = run.audio_net == PAPER_AUDIO_NET if run.role == "audio" else len(run.modalities) > 1
    return PAPER.get(run.role, {}) if alike else {}


def _without_counterpart(inputs: Inputs) -> str:
    """What to say of audio runs whose net is not that of the paper's audio row."""
    audio = [run for run in inputs.runs if run.role == "audio"]
    others = [
        f"{run.name} ({run.audio_net.upper()})"
        for run in audio
        if run.audio_net and not _paper(run)
    ]
    if not others:
        return ""
    text = (
        f" The paper's row “{PAPER_ROWS['audio']}” is a CNN14:"
        f" {wording.listed(others)} {'has' if len(others) == 1 else 'have'} no counterpart there."
    )
    if len(others) == len(audio):
        text += " “make profile NAME=panns” adds a run of CNN14."
    return text


def _scores_table(inputs: Inputs) -> Table:
    single = inputs.params.data.task == "single_label"
    names = {"mAP": "mAP", "AUC": "AUC", "dprime": "d′"}
    names |= {"accuracy": "accuracy"} if single else {}
    compared = any(_paper(run) for run in inputs.runs)
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
            cells.append(_area(run, condition))
            paper = _paper(run).get(condition, (None, None, None))
            cells += [Cell(wording.number(value)) for value in paper if compared]
            rows.append(Row(run.name if first else "", cells, run.index if first else None, first))
    return Table(
        title="Scores, clean and attacked",
        groups=(
            Group("", 2),
            Group("this data", len(names) + 3 + partial),
            *([Group("paper, AudioSet", 3)] if compared else []),
        ),
        head=(
            Head("run", "word"),
            Head("attack", "word"),
            *(Head(name) for name in names.values()),
            *([Head("all clips")] if partial else []),
            Head("stored"),
            Head("mAP lost"),
            Head("area"),
            *(Head(name) for name in ("mAP", "AUC", "d′") if compared),
        ),
        rows=rows,
        caption=_scores_caption(inputs, partial, compared),
    )


def _area(run: Run, condition: str) -> Cell:
    """The normalised area under the run's curve, with its interval."""
    ends = (run.value(condition, "area_lo"), run.value(condition, "area_hi"))
    note = f"{wording.number(ends[0])}–{wording.number(ends[1])}" if None not in ends else ""
    return Cell(wording.number(run.value(condition, "area")), note)


def _scores_caption(inputs: Inputs, partial: bool, compared: bool) -> str:
    text = (
        f"Beside mAP: the {wording.percent(inputs.params.score.confidence)} interval over clips of"
        f" what a larger set would give.{_recordings(inputs)}{_spaced(warning(inputs))}"
        f"{_together(inputs)} Stored: mAP after the attacked clip is rounded, within the budget, to"
        f" what a file holds, uint8 frames and {STORED[inputs.params.attack.domain]}; a dash where"
        " nothing of the attack is left. d′ is √2 Φ⁻¹(AUC). Area: the mean of mAP over the"
        " logarithm of the budget, from the smallest to the largest of the sweep, as a share of"
        " clean mAP."
    )
    if partial:
        text += (
            " All clips: the bounds of mAP if the clips that could not be scored were ranked as"
            " badly, or as well, as possible."
        )
    return text + (" The paper's attacked d′ do not follow from its AUC." if compared else "")


def _spaced(sentence: str) -> str:
    return f" {sentence}" if sentence else ""


def _recordings(inputs: Inputs) -> str:
    """What the intervals take as independent, where several clips were cut from one recording."""
    clips, recordings = (
        next((run.value("set", key) for run in inputs.runs), None)
        for key in ("scored", "recordings")
    )
    if clips is None or recordings is None or recordings == clips:
        return ""
    few = ", and so few make them too narrow" if recordings < FEW_RECORDINGS else ""
    return (
        f" The {wording.count(clips)} clips come from {wording.count(recordings)} recordings, which"
        f" all intervals take as the independent units{few}."
    )


def _together(inputs: Inputs) -> str:
    """What the intervals overlook where clips are attacked with an eye on one another."""
    if not inputs.params.attack.refine.rounds:
        return ""
    return (
        " The attack lowers the score of all clips together; the intervals take what it makes of"
        " one clip as independent of the others, which it is not quite."
    )


def _whole(run: Run, condition: str) -> Cell:
    """The bounds of mAP over all clips; a dash where no clip is missing."""
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
    """mAP against the budget, one panel per threat."""
    chance = chance_level(inputs)
    drawn = [run for run in inputs.runs if any(threat in run.curve for threat in threats.NAMES)]
    panels = []
    for threat, title in threats.NAMES.items():
        lines = [_line(run, threat) for run in drawn if threat in run.curve]
        if lines:
            svg = figures.robustness(
                lines,
                headline=inputs.params.attack.eps,
                chance=chance,
                name=f"curve-{threat}",
                label=f"mAP against budget, {title}",
            )
            panels.append(Panel(f"{wording.capital(title)} ({threats.SHORT[threat]})", svg))
    if not panels:
        return None
    caption = (
        "mAP on the eval clips against the budget of the attack: the higher a line stays, the more"
        f" robust the model. Bands: {wording.percent(inputs.params.score.confidence)} intervals"
        f" over clips of what a larger set would give, each budget's own."
        f"{_spaced(warning(inputs))} Dotted: random noise of equal norm; the gap between a"
        " dotted line and its solid one is what the attack gains over noise. Chance: the mean over"
        " random rankings; below it, true tags rank lower than by chance."
        f"{scales(inputs.params.attack)}"
    )
    marks = (("noise of equal norm", rule("muted", "1.6 2.6")), ("chance", rule("muted", "6 3")))
    blocks = [legend(drawn, *marks), Block("panels", panels, caption)]
    table = perceptibility(inputs)
    if table is not None:
        blocks.append(Block("table", table))
    worst = worst_case(inputs)
    if worst is not None:
        blocks.append(Block("details", worst, "Show the worst case of each clip"))
    return Section("robustness", "Robustness curves", blocks)


def _line(run: Run, threat: str) -> Line:
    ends = [run.curve.get(f"{threat}_{suffix}") for suffix in ("lo", "hi", "noise")]
    return Line(run.index, run.curve["eps"], run.curve[threat], *ends)


def chance_level(inputs: Inputs) -> float | None:
    """The mAP that random rankings have on average, over the classes that have a positive."""
    clips = next((run.value("set", "scored") for run in inputs.runs), None)
    clips = clips or inputs.manifest.get("clips", {}).get("eval", {}).get("count")
    counts = positives(inputs)
    if not clips or counts is None or not (counts > 0).any():
        return None
    return present_mean(random_average_precision(counts, int(clips)))
