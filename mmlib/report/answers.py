"""The three questions of the paper, answered in sentences that the numbers choose."""

from mmlib.report.findings import Findings, main_runs
from mmlib.report.inputs import Inputs
from mmlib.report.questions import fusion, prediction, retraining
from mmlib.report.questions.answer import Answer


def answer(inputs: Inputs, findings: Findings) -> list[Answer]:
    """The three answers, in the order of the questions; one that lacks runs says which."""
    claims, first = findings.claims, findings.of_first(main_runs(inputs))
    return [
        fusion.fusion(
            claims,
            fusion.missing(inputs),
            fusion.strangers(inputs),
            fusion.trained_on(inputs),
            fusion.below_one_level(inputs),
        ),
        prediction.prediction(
            first,
            findings.predictions,
            claims,
            prediction.missing(inputs),
            inputs.params.score.confidence,
        ),
        retraining.retraining(claims, retraining.missing(inputs), retraining.untested(inputs)),
    ]
