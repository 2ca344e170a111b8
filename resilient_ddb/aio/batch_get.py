"""Items by their keys, any number of them: what an async Table's `get_items` gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from types import AsyncGeneratorType
from typing import Any, Self

from resilient_ddb.bulk.batch_get import END, BatchReads, Drawing, Drawn, Item, check_keys
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
        draw = _AsyncDrawing(keys) if isinstance(keys, AsyncIterable) else Drawing(keys)
        super().__init__(table, draw, params, rate)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        self._go_on()
        try:
            while not self._is_over:
                item = self._next()
                if item is not None:
                    return item
                await run_async(self._ask())
        except BaseException:
            self._given = None  # an interrupt came before it was given
            raise
        raise StopAsyncIteration


class _AsyncDrawing:
    """Draws async keys."""

    def __init__(self, keys: AsyncIterable[Mapping[str, Any]]) -> None:
        """Draw `keys`, and then `END`."""
        self._keys = aiter(keys)

    async def __call__(self, drawn: Drawn) -> None:
        drawn.append(await anext(self._keys, END))

    def may_be_broken(self) -> bool:
        """See `Draw`. An async generator that has ended, and whose end was not drawn, was ended by the exception."""
        return not isinstance(self._keys, AsyncGeneratorType) or self._keys.ag_frame is None
