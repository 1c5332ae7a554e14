"""How the runs learned: retraining with its cost, training curves."""

from collections.abc import Sequence

from mmlib.report import figures, wording
from mmlib.report.figures import Line, Point
from mmlib.report.inputs import Inputs, Run, band
from mmlib.report.sections.blocks import Block, Panel, Section, legend
from mmlib.report.sections.guidance import guidance
from mmlib.report.tables import Cell, Group, Head, Row, Table

CURVES = (
    ("val_mAP", "mAP on the val split", "mAP"),
    ("val_loss", "Loss on the val split", "loss"),
    ("train_loss", "Loss on the train split", "loss"),
)


def retraining(inputs: Inputs) -> Section | None:
    """Mixup against adversarial training, with what each costs; None without costs."""
    table = _costs(inputs)
    if table is None:
        return None
    retrained = [run for run in inputs.runs if run.init is not None]
    starts = {run.init for run in retrained}
    shown = [run for run in inputs.runs if run.init is not None or run.name in starts]
    by_passes = [p for run in shown if (p := _point(inputs, run, _extra_passes(run)))]
    by_clean = [p for run in shown if (p := _point(inputs, run, run.value("clean", "mAP")))]
    panels = [
        Panel(
            title,
            figures.trade_off(
                points,
                x_label=x_label,
                y_label="mAP, all modalities attacked",
                name=name,
                label=title,
            ),
        )
        for points, title, x_label, name in (
            (by_passes, "Robustness against work", "extra passes, thousands of clips", "work"),
            (by_clean, "Robustness against clean mAP", "clean mAP", "clean"),
        )
        if retrained and len(points) > 1
    ]
    caption = (
        "Each mark is a run at the headline budget, with its interval. Against work: the higher at"
        " the same number of passes, the better; the run that retraining starts from stands at 0."
        " Against clean mAP: further up and to the right is better."
    )
    blocks = [Block("panels", panels, caption)] if panels else []
    title = "Retraining and its cost" if retrained else "Cost of training"
    return Section("retraining", title, [*blocks, Block("table", table), *guidance(inputs)])


def _extra_passes(run: Run) -> float | None:
    """Thousands of passes, forward and backward, on top of those of the run it starts from."""
    if run.init is None:
        return 0.0
    if not run.cost:
        return None
    return (run.cost["forward_passes"] + run.cost["backward_passes"]) / 1000


def _point(inputs: Inputs, run: Run, x: float | None) -> Point | None:
    threat = run.widest_threat or ""
    value = run.value(threat, "mAP")
    if x is None or value is None:
        return None
    lo, hi = band(run, threat, inputs.params.attack.eps) or (value, value)
    return Point(run.index, run.name, x, value, lo, hi)


def _costs(inputs: Inputs) -> Table | None:
    rows = []
    for run in inputs.runs:
        if run.cost:
            counted = ("clips_seen", "forward_passes", "backward_passes", "optimiser_steps")
            cells = [Cell(wording.count(run.cost.get(key))) for key in counted]
            cells.append(Cell(wording.seconds(run.cost.get("seconds"))))
            conditions = ("clean", run.widest_threat or "")
            cells += [Cell(wording.number(run.value(part, "mAP"))) for part in conditions]
            rows.append(Row(run.name, cells, run.index))
    if not rows:
        return None
    columns = ("seen", "forward", "backward", "steps", "time", "clean", "attacked")
    return Table(
        title="Cost of training",
        groups=(Group("", 1), Group("clips", 3), Group("", 2), Group("mAP", 2)),
        head=(Head("run", "word"), *(Head(column) for column in columns)),
        rows=rows,
        caption=(
            "Forward and backward passes are counted in clips through the encoders, attack steps"
            " included. The passes of a retrained run come on top of those of the run that it"
            " starts from. Time is wall-clock time on the machine that trained. Attacked: all"
            " modalities of the run, at the headline budget."
        ),
    )


def training(inputs: Inputs) -> Section | None:
    """One line per run: how it learned."""
    runs = [run for run in inputs.runs if "epoch" in run.training]
    panels = [_training_panel(runs, *curve) for curve in CURVES]
    present = [panel for panel in panels if panel is not None]
    if not present:
        return None
    caption = (
        "One line per run. Losses on the train split are not comparable between runs with different"
        " objectives (mixed labels, attacked clips, several heads); figures on the val split are."
    )
    blocks = [legend(runs), Block("panels", present, caption)]
    return Section("training", "Training curves", blocks)


def _training_panel(runs: Sequence[Run], column: str, title: str, label: str) -> Panel | None:
    lines = [
        Line(run.index, run.training["epoch"], run.training[column])
        for run in runs
        if column in run.training
    ]
    if not lines:
        return None
    return Panel(title, figures.training(lines, y_label=label, name=column, label=title))
