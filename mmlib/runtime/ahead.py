"""Work ahead of whoever takes the results, in another thread."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(work: Callable[[Item], Result], items: Iterable[Item], count: int) -> Iterator[Result]:
    """Yield the results of `work` in the order of the items, `count` of them begun beforehand.

    One thread does the work, item after item; with 0 it is done when it is asked for. An error is
    raised where its result would have come. Whoever leaves early waits for what has begun.
    """
    if count == 0:
        yield from map(work, items)
        return
    left = iter(items)
    with ThreadPoolExecutor(1) as pool:
        begun = (pool.submit(work, item) for item in islice(left, count))
        coming: deque[Future[Result]] = deque(begun)
        while coming:
            found = coming.popleft().result()
            coming.extend(pool.submit(work, item) for item in islice(left, 1))
            yield found
