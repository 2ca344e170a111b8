"""What the verbs for items return: generators that say what they are. A loop runs over the generator itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Generator, Iterator
from typing import Any

Item = dict[str, Any]


class ItemIterator(Iterator[Item]):
    """An iterator over a table's items, page after page."""

    def __init__(self, items: Generator[Item, None, None], verb: str, table: str) -> None:
        self._items = items
        self._verb, self._table = verb, table

    def __iter__(self) -> Iterator[Item]:  # noqa: PYI034 - the generator itself
        return self._items

    def __next__(self) -> Item:
        return next(self._items)

    def close(self) -> None:
        """Give no further items, and ask for no further page."""
        self._items.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of table {self._table!r}, by {self._verb}>"


class AsyncItemIterator(AsyncIterator[Item]):
    """An async iterator over a table's items, page after page."""

    def __init__(self, items: AsyncGenerator[Item, None], verb: str, table: str) -> None:
        self._items = items
        self._verb, self._table = verb, table

    def __aiter__(self) -> AsyncIterator[Item]:  # noqa: PYI034 - as above
        return self._items

    def __anext__(self) -> Awaitable[Item]:
        return self._items.__anext__()

    async def aclose(self) -> None:
        """Give no further items, and ask for no further page."""
        await self._items.aclose()

    __repr__ = ItemIterator.__repr__
