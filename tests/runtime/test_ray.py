"""A stage on a Ray cluster of two nodes that die (`tests.ray_trial` does more of it)."""

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.moments import HANG_S

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="ray is absent: NOTHING IS TESTED ON A CLUSTER; pip install -e '.[cluster]'",
)


@pytest.mark.slow
def test_nodes_that_die_leave_no_trace() -> None:
    command = [sys.executable, "-m", "tests.ray_trial", "2", "--clips", "4"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "MMLIB_WORKERS": "1"},
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    # Ray itself says on stdout, before them, which of its nodes have died.
    assert done.stdout.splitlines()[-7:] == [
        "ordered: True",
        "a worker that died was replaced: True",
        "what a node did that died was done elsewhere: True",
        "an error was said: this clip is bad",
        "calls of what failed: 1",
        "different: []",
        "files: 14",
    ]
