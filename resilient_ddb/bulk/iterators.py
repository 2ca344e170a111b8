"""What the verbs for items return: generators that say what they are. A loop runs over the generator itself.

A generator that an error has left gives no more, which looks like the end of the items. So the next loop has a new one,
which goes on where the other one was left.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any, Generic, Protocol, TypeVar

from resilient_ddb.calls.flows import Flow, run, run_async

Item = dict[str, Any]
Items = TypeVar("Items")


class _Paged(Protocol):
    """Something that reads items page after page: it gives those that it has, and reads more, until it is over."""

    @property
    def is_over(self) -> bool: ...
    def items(self) -> Iterator[Item]: ...
    def more(self) -> Flow[Any]: ...


class Later:
    """A reading that is begun when its first page is asked for."""

    def __init__(self, begin: Callable[[], Flow[_Paged]]) -> None:
        self._begin = begin
        self._begun: _Paged | None = None

    @property
    def is_over(self) -> bool:
        """Whether there is no further page to ask for."""
        return self._begun is not None and self._begun.is_over

    def items(self) -> Iterator[Item]:
        """Return the items that were read and not given yet."""
        return iter(()) if self._begun is None else self._begun.items()

    def more(self) -> Flow[None]:
        """Read the next page."""
        if self._begun is None:
            self._begun = yield from self._begin()
        yield from self._begun.more()


class _OfTable(Generic[Items]):
    _go_on: Callable[[_Paged], Items]

    def __init__(self, reading: _Paged, verb: str, table: Any) -> None:
        self._reading = reading
        self._items = self._go_on(reading)
        self._is_closed = False
        self._verb, self._table = verb, table.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of table {self._table!r}, by {self._verb}>"


def _go_on(reading: _Paged) -> Generator[Item, None, None]:
    yield from reading.items()
    while not reading.is_over:
        run(reading.more())
        yield from reading.items()


async def _go_on_async(reading: _Paged) -> AsyncGenerator[Item, None]:
    for item in reading.items():
        yield item
    while not reading.is_over:
        await run_async(reading.more())
        for item in reading.items():
            yield item


class ItemIterator(_OfTable[Generator[Item, None, None]], Iterator[Item]):
    """An iterator over a table's items, page after page. After an error it may be iterated on."""

    _go_on = staticmethod(_go_on)
    _is_torn = False

    def __iter__(self) -> Iterator[Item]:  # noqa: PYI034 - the generator itself
        if self._is_torn and not self._is_closed:
            raise RuntimeError(
                f"{self._verb} of table {self._table!r} was broken off by an interrupt while an item was on its way: "
                "it was not given, and does not come again; begin anew"
            )
        if self._items.gi_frame is None and not self._is_closed:  # type: ignore[attr-defined]  # a generator has it
            self._items = self._go_on(self._reading)
        return self._items

    def __next__(self) -> Item:
        items = iter(self)
        try:
            return next(items)
        except ValueError:  # another thread is in it at this moment: an item on its way comes to that one
            raise
        except BaseException:  # the generator has ended by it, or else it came as an item was on its way
            self._is_torn = items.gi_frame is not None and not self._is_closed  # type: ignore[attr-defined]  # as above
            raise

    def close(self) -> None:
        """End the iteration: no further item comes, and no further page is asked for."""
        self._is_closed = True
        self._items.close()


class AsyncItemIterator(_OfTable[AsyncGenerator[Item, None]], AsyncIterator[Item]):
    """An async iterator over a table's items, page after page. After an error it may be iterated on."""

    _go_on = staticmethod(_go_on_async)

    def __aiter__(self) -> AsyncIterator[Item]:  # noqa: PYI034 - as above
        if self._items.ag_frame is None and not self._is_closed:  # type: ignore[attr-defined]  # as above
            self._items = self._go_on(self._reading)
        return self._items

    def __anext__(self) -> Awaitable[Item]:
        return aiter(self).__anext__()

    async def aclose(self) -> None:
        """End the iteration: no further item comes, and no further page is asked for."""
        self._is_closed = True
        await self._items.aclose()
