"""What a case of a check is: something sound or faulty of the demo's size, and how it must end."""

from collections.abc import Callable
from typing import NamedTuple

from mmlib.evaluation.checks.outcome import Outcome, Status


class Case(NamedTuple):
    """A check by name, what it is shown, how it must end, and the call that runs it."""

    check: str
    shown: str
    status: Status
    run: Callable[[], Outcome]
