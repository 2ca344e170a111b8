"""What the verbs for items return: generators that say what they are. A loop runs over the generator itself.

A generator that an error has left gives no more, which looks like the end of the items. So the next loop has a new one,
which goes on where the other one was left.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

Item = dict[str, Any]


class ItemIterator(Iterator[Item]):
    """An iterator over a table's items, page after page. After an error it may be iterated on."""

    def __init__(self, go_on: Callable[[], Generator[Item, None, None]], verb: str, table: str) -> None:
        """Give what the generators of `go_on` give: each goes on where the one before was left."""
        self._go_on = go_on
        self._items = go_on()
        self._is_closed = False
        self._verb, self._table = verb, table

    def __iter__(self) -> Iterator[Item]:  # noqa: PYI034 - the generator itself
        if self._items.gi_frame is None and not self._is_closed:  # type: ignore[attr-defined]  # a generator has it
            self._items = self._go_on()
        return self._items

    def __next__(self) -> Item:
        return next(iter(self))

    def close(self) -> None:
        """Give no further items, and ask for no further page."""
        self._is_closed = True
        self._items.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of table {self._table!r}, by {self._verb}>"


class AsyncItemIterator(AsyncIterator[Item]):
    """An async iterator over a table's items, page after page. After an error it may be iterated on."""

    def __init__(self, go_on: Callable[[], AsyncGenerator[Item, None]], verb: str, table: str) -> None:
        """See `ItemIterator`."""
        self._go_on = go_on
        self._items = go_on()
        self._is_closed = False
        self._verb, self._table = verb, table

    def __aiter__(self) -> AsyncIterator[Item]:  # noqa: PYI034 - as above
        if self._items.ag_frame is None and not self._is_closed:  # type: ignore[attr-defined]  # as above
            self._items = self._go_on()
        return self._items

    def __anext__(self) -> Awaitable[Item]:
        return aiter(self).__anext__()

    async def aclose(self) -> None:
        """Give no further items, and ask for no further page."""
        self._is_closed = True
        await self._items.aclose()

    __repr__ = ItemIterator.__repr__
