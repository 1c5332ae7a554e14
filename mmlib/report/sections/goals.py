"""Goals: how often tags are hidden and injected, against the budget, and which ones."""

from collections.abc import Mapping

import numpy as np

from mmlib.evaluation.threat_card import scales
from mmlib.params.goals import Decision
from mmlib.report import figures, threats, wording
from mmlib.report.figures import Line
from mmlib.report.inputs import Inputs, Run
from mmlib.report.sections.blocks import Block, Panel, Section, legend
from mmlib.report.sections.tags import by_tag, sentences
from mmlib.runtime.storage import Table
from mmlib.threats import THREATS

TEXT = ("goal", "hidden", "injected", "threat")
HEADINGS = {
    "hide": "Hiding a tag",
    "inject": "Injecting a tag",
    "swap": "Swapping a tag for another",
}
MEANING = {
    "hide": "clips that have the tag and show it: hidden when it is no longer shown",
    "inject": "clips that do not have the tag and do not show it: injected when it is shown",
    "swap": "clips that have and show the one tag and neither have nor show the other: swapped when"
    " the one is no longer shown and the other is",
}


def goals(inputs: Inputs) -> Section | None:
    """Curves and tables of the runs in params.goals that were attacked so; None where none was."""
    found = read_goals(inputs)
    if not found:
        return None
    blocks = [Block("text", _intro(inputs)), legend([run for run, _ in found])]
    for goal, heading in HEADINGS.items():
        tried = [(run, table) for run, table in found if _counted(table, goal)]
        if not tried:
            continue
        blocks.append(Block("heading", heading))
        blocks.append(Block("panels", _panels(inputs, goal, tried), _caption(inputs, goal)))
        blocks += [Block("text", text) for text in sentences(goal, tried)]
        for run, table in tried:
            blocks += by_tag(goal, run, table, inputs.params.score.confidence)
    return Section("goals", "Which tags can be hidden, and which injected", blocks)


def read_goals(inputs: Inputs) -> list[tuple[Run, Table]]:
    """The runs of the page that have a table of goals with attacked clips."""
    found = inputs.tables("goals", {name: name for name in inputs.params.goals.runs}, TEXT)
    return [(run, table) for run, table in found.values() if (table["clips"] > 0).any()]


def _counted(table: Table, goal: str) -> bool:
    return bool(((table["goal"] == goal) & (table["clips"] > 0)).any())


def _intro(inputs: Inputs) -> str:
    params = inputs.params.goals
    shown = _rule(params.decision, inputs.params.data.task)
    steps, restarts = params.search.steps, params.search.restarts
    return (
        f"A tag is shown on a clip where {shown}. Only clips on which the model is right about the"
        " tag are attacked: what it gets wrong by itself is no success. The attack is PGD on the"
        f" margin to that decision, {steps} steps at each budget"
        f"{'' if restarts == 1 else f' and {restarts} restarts'}; a stronger attack may succeed on"
        " more clips."
    )


def _rule(decision: Decision, task: str) -> str:
    if task == "single_label":
        return "its score is the highest"
    if decision.rule == "top":
        return f"its score is among the {decision.top} highest"
    if decision.rule == "probability":
        return f"its probability is above {decision.probability:g}"
    return "its score is above a threshold of its own, chosen on the val split for the highest F1"


def _panels(inputs: Inputs, goal: str, tried: list[tuple[Run, Table]]) -> list[Panel]:
    panels = []
    for threat in THREATS:
        found = (mean_success(run, table, goal, threat) for run, table in tried)
        lines = [line for line in found if line is not None]
        if lines:
            drawing = figures.robustness(
                lines,
                headline=inputs.params.attack.eps,
                chance=None,
                y_label="share of clips, mean over tags",
                name=f"goals-{goal}-{threat}",
                label=f"Success of {goal} against the budget, {threats.NAMES[threat]}",
            )
            panels.append(Panel(wording.capital(threats.NAMES[threat]), drawing))
    return panels


def mean_success(run: Run, table: Table, goal: str, threat: str) -> Line | None:
    """Mean success over the goals with clips, and under noise, from 0 at a budget of 0."""
    rows = (table["goal"] == goal) & (table["threat"] == threat) & (table["clips"] > 0)
    if not rows.any():
        return None
    budgets = np.unique(table["eps"][rows])
    means: Mapping[str, list[float]] = {
        column: [float(np.mean(table[column][rows & (table["eps"] == eps)])) for eps in budgets]
        for column in ("success", "noise")
    }
    x = np.concatenate([[0.0], budgets])
    return Line(
        run.index,
        x,
        np.array([0.0, *means["success"]]),
        floor=np.array([0.0, *means["noise"]]),
    )


def _caption(inputs: Inputs, goal: str) -> str:
    return (
        f"Success rate against the budget, the mean over tags, of {MEANING[goal]}. Dotted: the same"
        f" under random noise of equal norm.{scales(inputs.params.attack)}"
    )
