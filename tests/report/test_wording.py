import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.report import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.500"),
        (-0.5, "−0.500"),
        (-0.0001, "0.000"),
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert wording.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "+0.50"), (-0.5, "−0.50"), (0.0, "0.00"), (-0.004, "0.00")]
)
def test_signed(value: float, text: str) -> None:
    assert wording.signed(value, 2) == text


@given(st.floats(-1e6, 1e6), st.integers(1, 6))
def test_number_reads_back(value: float, digits: int) -> None:
    text = wording.number(value, digits).replace("−", "-")
    assert float(text) == pytest.approx(value, abs=0.51 * 10**-digits)


def test_interval_needs_both_ends() -> None:
    assert wording.interval(0.1, 0.2, 1) == "0.1 to 0.2"
    assert wording.interval(0.1, math.nan) == wording.MISSING
    assert wording.interval(-0.1, 0.2, 1, sign=True) == "−0.1 to +0.2"


@pytest.mark.parametrize(
    ("value", "text"), [(3.14, "3.1 s"), (99, "99 s"), (300, "5 min"), (9000, "2.5 h")]
)
def test_seconds(value: float, text: str) -> None:
    assert wording.seconds(value) == text


def test_small_words() -> None:
    assert wording.count(1234567) == "1\u202f234\u202f567"
    assert wording.percent(0.123) == "12 %"
    assert wording.percent(None) == wording.MISSING
    assert wording.times(2.5) == "2.5 times"
    assert wording.listed([]) == ""
    assert wording.listed(["a"]) == "a"
    assert wording.listed(["a", "b", "c"]) == "a, b and c"
