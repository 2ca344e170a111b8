"""Many queries read as one: whose page is needed next, and which item comes next. No I/O.

Each source is one partition key, read in pages. Items are given in the order of their sort keys, those with equal ones
in the order of the sources. An item is given once it is sure that none before it is still to be read. If a caller
stops, the place is the last item given of each source, not the last one read.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import total_ordering
from typing import Any

Item = dict[str, Any]
Key = dict[str, Any]


@total_ordering
class _Descending:
    """Sorts the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and self.value == other.value

    def __lt__(self, other: _Descending) -> bool:
        return bool(other.value < self.value)

    __hash__ = None  # type: ignore[assignment]  # it is only ever compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The order of the items, and what says where one stands in it."""

    sort: str | None
    """The attribute that items are sorted by; None: they come source by source."""
    forward: bool
    """Whether the smallest is first."""
    position: tuple[str, ...] = ()
    """The attributes that, beside the partition key, say from where to read on."""

    def rank(self, item: Mapping[str, Any]) -> Any:
        """Return what sorts an item among others: DynamoDB sorts text by its UTF-8 bytes, and all else by value."""
        if self.sort is None:
            return 0
        value = item[self.sort]
        if isinstance(value, str):
            rank: Any = value.encode("utf-8", "surrogatepass")
        elif isinstance(value, (int, Decimal)):
            rank = value
        else:
            rank = bytes(value)
        return rank if self.forward else _Descending(rank)

    def position_of(self, item: Mapping[str, Any]) -> Key:
        """Return what says from where to read on after an item."""
        return {name: item[name] for name in self.position}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a caller stopped: each source's position, and the last item given of all."""

    last: Mapping[str, Any] | None
    """The sort key of the last item given; None: nothing was given."""
    source: int
    """The source which that was of."""
    positions: Mapping[int, Key | None]
    """By source: the key to read on after. A source that is missing is read from its beginning; None: it has ended."""
    late: frozenset[int] = frozenset()
    """Sources that could not be read while others went on: their items come late, and out of order."""


@dataclass(slots=True)
class _Source:
    items: deque[Item] = field(default_factory=deque)
    """What was read, and not given."""
    position: Key | None = None
    """After it, nothing was given."""
    next: Key | None = None
    """The position after all that was read."""
    is_over: bool = False
    """Whether there is nothing more to read."""
    was_read: bool = False
    is_late: bool = False
    is_missing: bool = False


class FanIn:
    """The merge of several sources. Holds one page of each at most."""

    def __init__(self, count: int, order: Order, place: Place | None = None) -> None:
        """Begin with `count` sources, or where a caller stopped."""
        self._order = order
        self._sources = [_Source() for _ in range(count)]
        self._heads: list[tuple[Any, int]] = []
        """A heap: the next item of each source that has any."""
        self._last: tuple[Any, int] | None = None
        self._last_value: Any = None
        if place is not None:
            self._go_to(place)

    def _go_to(self, place: Place) -> None:
        for index, source in enumerate(self._sources):
            if index in place.positions:
                source.position = source.next = place.positions[index]
                source.is_over = source.position is None
            source.is_late = index in place.late
        if place.last is not None:
            self._last = (self._order.rank(place.last), place.source)
            self._last_value = place.last[self._order.sort or ""]

    @property
    def is_over(self) -> bool:
        """Whether every item was given that is not in a missing source."""
        return not self._heads and all(source.is_over or source.is_missing for source in self._sources)

    def wanted(self) -> list[tuple[int, Key | None]]:
        """Return which sources to read a page of, and after which position (None: from the beginning)."""
        return [
            (index, source.next)
            for index, source in enumerate(self._sources)
            if not source.items and not source.is_over and not source.is_missing
        ]

    def take(self, index: int, items: Sequence[Item], following: Key | None) -> None:
        """Accept a page of a source, and the position after it (None: it was the last page)."""
        source = self._sources[index]
        source.was_read = True
        source.position = source.next
        source.next, source.is_over = following, following is None
        source.items.extend(items)
        while source.items and self._is_behind(index, source):  # written, meanwhile, where the caller has been
            source.position = self._order.position_of(source.items.popleft())
        if source.items:
            heapq.heappush(self._heads, (self._order.rank(source.items[0]), index))

    def _is_behind(self, index: int, source: _Source) -> bool:
        if self._last is None or source.is_late or self._order.sort is None:
            return False
        return bool((self._order.rank(source.items[0]), index) < self._last)

    def leave_out(self, index: int) -> None:
        """Go on without a source that can't be read."""
        self._sources[index].is_missing = True

    @property
    def missing(self) -> list[int]:
        """The sources that were left out."""
        return [index for index, source in enumerate(self._sources) if source.is_missing]

    def give(self, limit: int | None = None) -> Iterator[Item]:
        """Return the items that are next for sure, `limit` at most."""
        if not all(map(_is_ready, self._sources)):
            return
        bound = self._bound()
        while self._heads and limit != 0:
            rank, index = self._heads[0]
            if bound is not None and (rank, index) > bound:
                return
            source = self._sources[index]
            item = source.items.popleft()
            source.position = self._order.position_of(item)
            if self._last is None or self._last < (rank, index):
                self._last, self._last_value, source.is_late = (rank, index), item.get(self._order.sort or ""), False
            if source.items:
                heapq.heapreplace(self._heads, (self._order.rank(source.items[0]), index))
            else:
                heapq.heappop(self._heads)
                bound = self._bound()
            limit = None if limit is None else limit - 1
            yield item

    def _bound(self) -> tuple[Any, int] | None:
        """Return the place up to which nothing is missing; None: to the end."""
        return min(
            (
                (0 if self._order.sort is None else self._order.rank(source.next), index)
                for index, source in enumerate(self._sources)
                if not source.items and source.next is not None and not source.is_missing
            ),
            default=None,
        )

    def place(self) -> Place | None:
        """Return where the caller stopped; None: at the end."""
        if self.is_over:
            return self.place_of_count()
        positions = {index: _position(source) for index, source in enumerate(self._sources) if not _is_new(source)}
        return Place(
            None if self._last is None or self._order.sort is None else {self._order.sort: self._last_value},
            -1 if self._last is None else self._last[1],
            positions,
            frozenset(index for index, source in enumerate(self._sources) if source.is_missing or source.is_late),
        )

    def place_of_count(self) -> Place | None:
        """Return where a caller stopped who was given all that was read, or only how many there are; None: at the end.

        What is missing is still to be had.
        """
        if self.is_over and not self.missing:
            return None
        known = {index: source.next for index, source in enumerate(self._sources) if _is_known(source)}
        return Place(None, -1, known)


def _is_ready(source: _Source) -> bool:
    return source.was_read or source.is_over or source.is_missing


def _is_known(source: _Source) -> bool:
    return source.is_over or source.next is not None


def _is_new(source: _Source) -> bool:
    """Return whether a source is still to be read from its beginning."""
    had_ended = source.is_over and not source.was_read
    return _position(source) is None and not had_ended


def _position(source: _Source) -> Key | None:
    """Return the key to read on after: all of a page was given, or left out by a filter, or the page is read again."""
    return source.next if not source.items and source.next is not None else source.position
