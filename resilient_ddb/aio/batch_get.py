"""Items by their keys, any number of them: what an async Table's `get_items` gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Self

from resilient_ddb.bulk.batch_get import BatchReads, Drawn, Item, check_keys, drawing
from resilient_ddb.calls.flows import run_async

Keys = Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]]


class AsyncBatchGet(BatchReads, AsyncIterator[Item]):
    """An async iterator over items by their keys. Made by `table.get_items(...)`; for one task at a time.

    See `resilient_ddb.BatchGet`.
    """

    _sleep = staticmethod(asyncio.sleep)

    def __init__(self, table: Any, keys: Keys, params: Mapping[str, Any], rate: Any) -> None:
        """See `AsyncTable.get_items`."""
        check_keys(keys)
        super().__init__(table, _drawing(keys), params, rate)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        self._go_on()
        while not self._is_over:
            item = self._next()
            if item is not None:
                return item
            await run_async(self._ask())
        raise StopAsyncIteration


def _drawing(keys: Keys) -> Callable[[Drawn], Any]:
    return partial(_draw, aiter(keys)) if isinstance(keys, AsyncIterable) else drawing(keys)


async def _draw(keys: AsyncIterator[Mapping[str, Any]], drawn: Drawn) -> None:
    with suppress(StopAsyncIteration):
        drawn.append(await anext(keys))
