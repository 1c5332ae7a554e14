"""Sequences that exist only as far as they are looked at."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar, overload

Item = TypeVar("Item")


class Computed(Sequence[Item]):
    """A sequence whose items are made each time that they are taken; a slice is a list of them."""

    @abstractmethod
    def item(self, place: int) -> Item:
        """Make the item at a place from 0 to the length less 1."""

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        places = range(len(self))[index]
        if isinstance(places, range):
            return [self.item(place) for place in places]
        return self.item(places)
