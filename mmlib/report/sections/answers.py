"""The answers that open the page."""

from collections.abc import Sequence

from mmlib.report import wording
from mmlib.report.inputs import Inputs
from mmlib.report.questions.answer import Answer
from mmlib.report.sections.blocks import Block, Section


def answer_box(inputs: Inputs, answers: Sequence[Answer]) -> Section:
    """The three questions, each with a verdict, sentences and the effects behind them."""
    blocks = [Block("answers", answers)]
    if any(answer.evidence for answer in answers):
        confidence = wording.percent(inputs.params.score.confidence)
        note = (
            f"Effects with {confidence} intervals. Significant means that the interval"
            " excludes zero, the dashed line; intervals that contain it are grey. Differences in"
            " mAP are paired: both runs are scored on the same clips. Robustness measured"
            " by an attack is an upper bound: a stronger attack may find more."
        )
        blocks.append(Block("note", note))
    return Section("answers", "Answers", blocks)
