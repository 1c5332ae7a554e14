"""A stage's work as pieces in its scratch: shared among processes, and never done twice.

Where a launcher started several processes (see `shares`) each makes the pieces of its share, on a
disk that all of them see. What is finished is passed by, whoever made it and whenever, so that a
stage that was killed, preempted or requeued goes on where it was.
"""

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, overload

from mmlib.runtime import sealed, shares
from mmlib.runtime.phases import Crew, Phase
from mmlib.runtime.scratch import Scratch
from mmlib.runtime.shares import Finished
from mmlib.runtime.storage import reading
from mmlib.runtime.workers import map_phases

Item = TypeVar("Item")
Result = TypeVar("Result")


def finish(
    function: Callable[[Item], object],
    phases: Sequence[Phase[Item]],
    scratch: Scratch,
    *,
    label: str,
    workers: int | None = None,
    whole: bool = False,
    device: bool = False,
    last: bool = True,
) -> None:
    """Let `function` finish the pieces of every item that has none, phase after phase.

    Afterwards all pieces are there, and the caller assembles them. In all processes but the one
    that is to assemble, `Finished` ends the stage once their share of the `last` pieces is made. A
    phase begins when every process has ended the one before; a task of an array does not wait for
    that, and ends. When a process fails, those beside it that are at work do too, with its error in
    a line. The other arguments are those of `map_ordered`.
    """
    share = shares.share()
    crew = Crew(share, scratch, label)
    left = sum(len(phase.unfinished(share)) for phase in phases)
    due = _due(phases, crew)
    mapped = map_phases(
        function, due, total=left, label=label, workers=workers, whole=whole, device=device
    )
    try:
        # Closed, the processes and the line of progress end before anything is said.
        with closing(mapped):
            for _ in mapped:
                crew.heed()
        crew.end(phases[-1], last)
    except Finished:
        raise
    except BaseException as error:
        crew.fail(error)
        raise


def results(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    scratch: Scratch,
    *,
    names: Sequence[str],
    label: str,
    workers: int | None = None,
    whole: bool = False,
    device: bool = False,
    finished: Callable[[int], bool] = lambda place: True,
    last: bool = True,
) -> list[Result]:
    """As `map_ordered`, with results that are kept in pieces of these `names`, and shared.

    Results are pickled, and small. `finished` tells what else must be there of the item at a place
    for its piece to count. Ends the stage where `finish` does, of pieces that are the `last`.
    """
    named = list(zip(names, items, strict=True))
    finish(
        partial(_keep, function, scratch),
        [Phase(named, lambda place: scratch.has(names[place]) and finished(place))],
        scratch,
        label=label,
        workers=workers,
        whole=whole,
        device=device,
        last=last,
    )
    return [_kept(scratch.path(name)) for name in names]


def _keep(function: Callable[[Item], Result], scratch: Scratch, named: tuple[str, Item]) -> None:
    name, item = named
    result = function(item)

    def write(path: Path) -> None:
        path.write_bytes(pickle.dumps(result))
        sealed.append(path)

    scratch.write(name, write)


def _kept(path: Path) -> Any:
    with reading(path, "a finished result"):
        return pickle.loads(sealed.content(path))


def _due(phases: Sequence[Phase[Item]], crew: Crew) -> Iterator[Sequence[Item]]:
    for number, phase in enumerate(phases):
        if number:
            crew.wait(phases[number - 1])
        yield _Chosen(phase.items, phase.unfinished(crew.share))


class _Chosen(Sequence[Item]):
    """The items at some places, taken only when they are looked at."""

    def __init__(self, items: Sequence[Item], places: Sequence[int]) -> None:
        self._items, self._places = items, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        if isinstance(index, slice):
            return _Chosen(self._items, self._places[index])
        return self._items[self._places[index]]
