"""Items by their keys, any number of them: what a sync Table's `get_items` gives."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from typing import Any, Self

from resilient_ddb.bulk.batch_get import BatchReads, Drawing, Item, check_keys
from resilient_ddb.calls.flows import run


class BatchGet(BatchReads, Iterator[Item]):
    """An iterator over items by their keys. Made by `table.get_items(...)`; for one thread at a time.

    After an error it may be iterated on: it asks for the keys again whose items it has not given.
    """

    _sleep = staticmethod(time.sleep)

    def __init__(self, table: Any, keys: Iterable[Mapping[str, Any]], params: Mapping[str, Any], rate: Any) -> None:
        """See `ResilientTable.get_items`."""
        check_keys(keys)
        if isinstance(keys, AsyncIterable):
            raise TypeError("keys must not be async on the sync Table: async ones are for resilient_ddb.aio")
        super().__init__(table, Drawing(keys), params, rate)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        self._go_on()
        try:
            while not self._is_over:
                item = self._next()
                if item is not None:
                    return item
                run(self._ask())
        except BaseException:
            self._given = None  # an interrupt came before it was given
            raise
        raise StopIteration
