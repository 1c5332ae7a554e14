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
            f"Effects with {confidence} intervals, each of its row alone; those that contain zero,"
            " the dashed line, are grey. Significant means that p is small enough after Holm's"
            " correction for all claims on this page. Differences in mAP are paired: both runs are"
            " scored on the same clips. Each model was trained once, except in the study: intervals"
            " cover other clips, not other trainings. Robustness measured by an attack is an upper"
            " bound: a stronger attack may find more."
        )
        blocks.append(Block("note", note))
    return Section("answers", "Answers", blocks)
