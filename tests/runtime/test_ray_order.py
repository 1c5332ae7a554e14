"""Items on a cluster: results in order, a bounded number under way, errors as they are.

A stand-in for Ray finishes tasks in any order; tests/runtime/test_ray.py has the real one.
"""

import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.runtime import ray_tasks
from mmlib.runtime.errors import UserError
from mmlib.runtime.workers import map_ordered
from tests.conftest import ROOT


class RayError(Exception):
    """As Ray's: of its own doing."""


class RayTaskError(RayError):
    """As Ray's: of the task's doing."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class Cluster:
    """What `ray_tasks` asks of Ray; tasks end when somebody waits, drawn at random."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(
        self, draw: random.Random, fails: int = -1, error: Exception | None = None
    ) -> None:
        self._draw, self._fails, self._error = draw, fails, error
        self._ended: set[int] = set()
        self.most_under_way = self.most_untaken = 0
        self.begun, self.taken, self.cancelled = list[int](), 0, list[int]()

    def submit(self, item: int) -> int:
        self.begun.append(item)
        self.most_under_way = max(self.most_under_way, len(self.begun) - len(self._ended))
        self.most_untaken = max(self.most_untaken, len(self.begun) - self.taken)
        return item

    def wait(self, refs: Sequence[int], **options: object) -> tuple[list[int], list[int]]:
        ended = self._draw.choice(sorted(refs))
        self._ended.add(ended)
        return [ended], [ref for ref in refs if ref != ended]

    def get(self, ref: int) -> int:
        assert ref in self._ended, "nothing is waited for but with the others"
        self.taken += 1
        if ref == self._fails and self._error is not None:
            raise self._error
        return ref * ref

    def cancel(self, ref: int, **options: object) -> None:
        self.cancelled.append(ref)


def mapped(cluster: Any, items: int, slots: int) -> Iterator[int]:
    places: Any = SimpleNamespace(count=lambda: slots)
    yield from ray_tasks._in_order(cluster, cluster.submit, range(items), places, "squares")


@given(items=st.integers(0, 60), slots=st.integers(1, 4), draw=st.randoms(use_true_random=False))
def test_results_come_in_order_and_a_bounded_number_is_under_way(
    items: int, slots: int, draw: random.Random
) -> None:
    cluster = Cluster(draw)
    assert list(mapped(cluster, items, slots)) == [item * item for item in range(items)]
    assert cluster.begun == list(range(items))
    assert cluster.most_under_way <= 2 * slots
    assert cluster.most_untaken <= 8 * slots + 4
    if items >= 2 * slots:
        assert cluster.most_under_way == 2 * slots, "no place is left without work"


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (RayTaskError(UserError("clip 3 is bad")), UserError, "^clip 3 is bad$"),
        (RayTaskError(KeyError("x")), KeyError, "x"),
        (RayError("the node died\nand much more"), UserError, r"^squares: .*\(the node died\);.*$"),
    ],
)
def test_an_error_is_raised_as_it_was_and_the_rest_is_cancelled(
    error: Exception, kind: type[Exception], said: str
) -> None:
    cluster = Cluster(random.Random(0), fails=3, error=error)
    with pytest.raises(kind, match=said):
        list(mapped(cluster, 40, 2))
    assert set(cluster.cancelled) == set(cluster.begun) - cluster._ended
    assert cluster.taken == 4


def test_without_the_package_a_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMLIB_EXECUTOR", "ray")
    monkeypatch.setitem(sys.modules, "ray", None)
    function: Callable[[int], int] = abs
    with pytest.raises(UserError, match=r"pip install -e '\.\[cluster\]'"):
        list(map_ordered(function, range(3), label="x"))
    assert list(map_ordered(function, [], label="x")) == [], "nothing to do needs no cluster"


PLACE = """
from multiprocessing import current_process
from mmlib.runtime.ray_tasks import _take_place
print(_take_place(), current_process()._identity, flush=True)
input()
"""


def test_each_worker_of_a_machine_has_a_place_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("MMLIB_WORKERS", "2")
    workers = list[subprocess.Popen[str]]()

    def place() -> str:
        workers.append(
            subprocess.Popen(
                [sys.executable, "-c", PLACE],
                cwd=ROOT,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )
        out = workers[-1].stdout
        assert out is not None
        return out.readline().strip()

    try:
        assert [place() for _ in range(3)] == ["0 (1,)", "1 (2,)", "None ()"]
        workers[0].kill()
        workers[0].wait()
        assert place() == "0 (1,)"
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
