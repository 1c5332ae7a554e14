"""Every check passes on a sound case and trips on a faulty one, both of the demo's size."""

from collections import Counter

import pytest

from tests.evaluation.checks import (
    cases_of_certificates,
    cases_of_effort,
    cases_of_models,
    cases_of_scores,
)
from tests.evaluation.checks.cases import Case
from tests.evaluation.checks.test_run_checks import NAMES

CASES = [
    *cases_of_scores.CASES,
    *cases_of_models.CASES,
    *cases_of_effort.CASES,
    *cases_of_certificates.CASES,
]
ELSEWHERE = {"certified"}
"""Checks that another stage makes of its own work."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}: {case.shown}")
def test_each_case_ends_as_it_must(case: Case) -> None:
    outcome = case.run()
    assert outcome.name == case.check
    assert outcome.status == case.status, outcome.message


def test_every_check_has_a_sound_and_a_faulty_case() -> None:
    """`NAMES` is what `check_run` returns: a new check without both fails here."""
    sound = {case.check for case in CASES if case.status == "pass"}
    faulty = {case.check for case in CASES if case.status == "fail"}
    assert sound == faulty == set(NAMES) | ELSEWHERE
    assert not [case for case, count in Counter(CASES).items() if count > 1]
