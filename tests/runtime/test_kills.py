"""Killed at random operations, stages end with the same bytes (`tests.kills` does more of it)."""

from pathlib import Path

import pytest

from tests.kills import trial


@pytest.mark.slow
def test_kills_leave_no_trace(tmp_path: Path) -> None:
    found = trial(tmp_path, kills=4, clips=8)
    assert found.kills.total() == 4
    assert found.files >= 3 * 16
    assert found.different == []
