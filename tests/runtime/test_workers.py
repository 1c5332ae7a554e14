"""Results come in item order from any number of workers, and a dead worker is said so."""

import os
import signal
import time

import pytest

from mmlib.runtime.errors import UserError
from mmlib.runtime.workers import (
    map_ordered,
    worker_count,
)


def slow_first(item: int) -> int:
    time.sleep(0.2 if item == 0 else 0.0)
    return item * item


def die(item: int) -> int:
    if item == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def fail(item: int) -> int:
    raise ValueError(f"item {item}")


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_order_is_the_items_order(workers: int) -> None:
    assert list(map_ordered(slow_first, range(9), label="squares", workers=workers)) == [
        item * item for item in range(9)
    ]


def test_no_items_no_work() -> None:
    assert list(map_ordered(slow_first, [], label="nothing")) == []


def test_a_killed_worker_is_one_line_that_says_what_to_do() -> None:
    with pytest.raises(UserError, match="MMLIB_WORKERS=1"):
        list(map_ordered(die, range(4), label="decode", workers=2))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_item_s_exception_reaches_the_caller(workers: int) -> None:
    with pytest.raises(ValueError, match="item 0"):
        list(map_ordered(fail, range(4), label="x", workers=workers))


def test_worker_count_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMLIB_WORKERS", "3")
    assert worker_count() == 3
    monkeypatch.setenv("MMLIB_WORKERS", "many")
    with pytest.raises(UserError, match="MMLIB_WORKERS"):
        worker_count()
    monkeypatch.delenv("MMLIB_WORKERS")
    assert worker_count() >= 1
