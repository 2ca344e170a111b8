"""A table's items from several segments at once: what an async Table's `parallel_scan` gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from typing import Any, Self

from resilient_ddb.bulk.segments import Item, Request, Segments
from resilient_ddb.calls.flows import run_async


class AsyncParallelScan(AsyncIterator[Item]):
    """An async iterator over a table's items. Made by `table.parallel_scan(...)`; for one task at a time.

    Leave it by `await scan.aclose()`, or at the end of an `async with` block: requests under way are cancelled, and no
    task is left behind.
    """

    def __init__(self, table: Any, **arguments: Any) -> None:
        """See `AsyncTable.parallel_scan`."""
        self._segments = Segments(table, **arguments)
        self._items = _items(self._segments)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of table {self._segments.table.name!r}>"

    @property
    def state(self) -> dict[str, Any] | None:
        """Where the scan stands, for `resume=`. See `resilient_ddb.ParallelScan.state`."""
        return self._segments.state

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        try:
            return await anext(self._items)
        except StopAsyncIteration:
            self._segments.check_end()
            raise

    async def aclose(self) -> None:
        """Stop: what is under way is cancelled."""
        self._segments.is_closed = True
        await self._items.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


async def _items(segments: Segments) -> AsyncGenerator[Item, None]:
    await run_async(segments.begin())
    async with _Workers(segments) as workers:
        while not segments.is_over:
            workers.start(segments.wanted())
            page = segments.take_up(*await workers.arrival())
            workers.start(segments.wanted())
            for item in page.items:
                yield item
            await run_async(segments.given(page))


class _Workers:
    """Tasks that ask for pages, one each. None of them waits for the reader of the items."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._arrived: asyncio.Queue[tuple[Request, asyncio.Task[Mapping[str, Any]]]] = asyncio.Queue()
        self._tasks: set[asyncio.Task[Mapping[str, Any]]] = set()

    def start(self, requests: Iterable[Request]) -> None:
        """Begin with these requests."""
        for request in requests:
            task = asyncio.create_task(run_async(self._segments.fetch(request, asyncio.sleep)))
            self._tasks.add(task)
            task.add_done_callback(lambda task, request=request: self._arrived.put_nowait((request, task)))  # type: ignore[misc]  # mypy does not see the default

    async def arrival(self) -> tuple[Request, Mapping[str, Any]]:
        """Wait for an answer, and give it with its request; the one that came first."""
        request, task = await self._arrived.get()
        self._tasks.discard(task)
        try:
            return request, task.result()
        except Exception as error:
            self._segments.stopped(error)
            raise
        finally:
            del task  # an error knows this frame: they would keep each other

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
