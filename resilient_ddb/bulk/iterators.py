"""What the verbs for items return: generators that say what they are. A loop runs over the generator itself.

A generator that an error has left gives no more, which looks like the end of the items. So the next loop has a new one,
which goes on where the other one was left.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any, Generic, TypeVar

Item = dict[str, Any]
Items = TypeVar("Items")


class _OfTable(Generic[Items]):
    def __init__(self, go_on: Callable[[], Items], verb: str, table: str) -> None:
        """Hold what makes a generator; each that it makes goes on where the one before was left."""
        self._go_on = go_on
        self._items = go_on()
        self._is_closed = False
        self._verb, self._table = verb, table

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of table {self._table!r}, by {self._verb}>"


class ItemIterator(_OfTable[Generator[Item, None, None]], Iterator[Item]):
    """An iterator over a table's items, page after page. After an error it may be iterated on."""

    _is_torn = False

    def __iter__(self) -> Iterator[Item]:  # noqa: PYI034 - the generator itself
        if self._is_torn:
            raise RuntimeError(
                f"{self._verb} of table {self._table!r} was broken off by an interrupt while an item was on its way: "
                "it was not given, and does not come again; begin anew"
            )
        if self._items.gi_frame is None and not self._is_closed:  # type: ignore[attr-defined]  # a generator has it
            self._items = self._go_on()
        return self._items

    def __next__(self) -> Item:
        try:
            return next(iter(self))
        except BaseException:  # the generator has ended by it, or else it came as an item was on its way
            self._is_torn = self._items.gi_frame is not None and not self._is_closed  # type: ignore[attr-defined]  # as above
            raise

    def close(self) -> None:
        """End the iteration: no further item comes, and no further page is asked for."""
        self._is_closed = True
        self._items.close()


class AsyncItemIterator(_OfTable[AsyncGenerator[Item, None]], AsyncIterator[Item]):
    """An async iterator over a table's items, page after page. After an error it may be iterated on."""

    def __aiter__(self) -> AsyncIterator[Item]:  # noqa: PYI034 - as above
        if self._items.ag_frame is None and not self._is_closed:  # type: ignore[attr-defined]  # as above
            self._items = self._go_on()
        return self._items

    def __anext__(self) -> Awaitable[Item]:
        return aiter(self).__anext__()

    async def aclose(self) -> None:
        """End the iteration: no further item comes, and no further page is asked for."""
        self._is_closed = True
        await self._items.aclose()
