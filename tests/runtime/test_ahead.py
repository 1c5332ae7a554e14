"""Work ahead: the results of any depth are those of a loop, in order, errors where they belong."""

import threading
from collections.abc import Iterator

import pytest

from mmlib.runtime.ahead import ahead


@pytest.mark.parametrize("count", [0, 1, 3, 9])
def test_results_come_in_order(count: int) -> None:
    assert list(ahead(lambda item: item * item, range(5), count)) == [0, 1, 4, 9, 16]
    assert list(ahead(str, [], count)) == []


def test_the_next_items_are_begun_while_one_is_in_use() -> None:
    begun = threading.Semaphore(0)

    def work(item: int) -> int:
        begun.release()
        return item

    results = ahead(work, range(10), 2)
    assert next(results) == 0
    for _ in range(3):
        assert begun.acquire(timeout=60.0)
    assert not begun.acquire(blocking=False), "not more than two ahead"


@pytest.mark.parametrize("count", [0, 2])
def test_an_error_is_raised_where_its_result_would_have_come(count: int) -> None:
    def work(item: int) -> float:
        return 1 / (2 - item)

    results = ahead(work, range(5), count)
    assert [next(results), next(results)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_items_are_taken_no_earlier_than_needed() -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(10):
            taken.append(item)
            yield item

    results = ahead(lambda item: item, items(), 2)
    next(results)
    assert taken == [0, 1, 2]
    results.close()  # type: ignore[attr-defined]
