"""The async batch writer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Self

from resilient_ddb.batch import BatchBuffer, delete_request, put_request
from resilient_ddb.batch_queue import Batch
from resilient_ddb.batch_settings import BatchSettings, Request
from resilient_ddb.batch_shell import Answer
from resilient_ddb.deadlines import Stop
from resilient_ddb.drive import run_async
from resilient_ddb.token_bucket import Limiter

from .lazy import opened


class AsyncBatchWriter(BatchBuffer):
    """See `AsyncTable.batch_writer`."""

    def __init__(self, table_name: str, client: Any, settings: BatchSettings) -> None:
        """Write to a table by means of a client."""
        super().__init__(table_name, client, settings)
        workers = settings.max_workers
        self._shell = _OneByOne(client) if workers == 1 else _Tasks(client)
        self._lock = asyncio.Lock()

    async def put_item(self, Item: Mapping[str, Any]) -> None:  # noqa: N803 - boto3's name
        """Put an item, now or with a later batch."""
        await self._add_and_flush(put_request(Item))

    async def delete_item(self, Key: Mapping[str, Any]) -> None:  # noqa: N803 - boto3's name
        """Delete an item, now or with a later batch."""
        await self._add_and_flush(delete_request(Key))

    async def _add_and_flush(self, request: Request) -> None:
        if self._is_due(request):
            await self._send(self._settings.flush_amount)

    async def _send(self, least: int) -> None:
        async with self._lock:  # of tasks that share the writer, one sends for all
            await run_async(self._batching.flush_flow(self._shell, least))

    async def flush(self) -> None:
        """Write everything that is buffered, and return when it is answered."""
        await self._send(1)

    _flush = flush

    async def __aenter__(self) -> Self:
        self._batching.has_block = True
        return self

    async def __aexit__(self, exc_type: object, exc_value: BaseException | None, tb: object) -> None:
        self._shell.stop.is_set = self._batching.begin_leaving(exc_value)
        if self._shell.stop.is_set and isinstance(exc_value, asyncio.CancelledError):
            self._shell.cancel()
        try:
            async with self._lock:
                await run_async(self._batching.leave_flow(self._shell, exc_value))
        finally:
            self._batching.has_block = False
            await self._shell.close()

    def __enter__(self) -> NoReturn:
        raise TypeError("batch_writer is the async one: use it with 'async with'")


class _OneByOne:
    """Makes each call within the task that asks for it."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.stop = Stop()

    async def open(self) -> Any:
        return await opened(self._client, "batch_write_item")

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def join(self, limiter: Limiter) -> None:
        if hasattr(limiter, "reserve_async"):
            await limiter.reserve_async(0.0)

    async def start(self, batch: Batch, call: Callable[[], Any]) -> list[Answer]:
        try:
            return [(batch, await call())]
        except Exception as error:  # noqa: BLE001 - the flow decides what an error means
            return [(batch, error)]

    def holds(self, batch: Batch) -> bool:  # noqa: ARG002 - the call is over when it was made
        return False

    async def collect(self) -> list[Answer]:
        return []

    def cancel(self) -> None:
        """Leave the call to whoever cancels its task."""

    async def close(self) -> None:
        self.stop = Stop()


class _Tasks(_OneByOne):
    """Makes calls in tasks of their own."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self._under_way: dict[asyncio.Task[Any], Batch] = {}

    async def start(self, batch: Batch, call: Callable[[], Any]) -> list[Answer]:
        self._under_way[asyncio.create_task(self._watched(call))] = batch
        return []

    async def _watched(self, call: Callable[[], Any]) -> Any:
        with self.stop.watched():
            return await call()

    def holds(self, batch: Batch) -> bool:
        return batch in self._under_way.values()

    async def collect(self) -> list[Answer]:
        if not self._under_way:
            return []
        done, _ = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        finished = [task for task in self._under_way if task in done]
        return [(self._under_way.pop(task), _answer(task)) for task in finished]

    def cancel(self) -> None:
        for task in self._under_way:
            task.cancel()

    async def close(self) -> None:
        if self._under_way:  # whoever was to wait for them was cancelled
            self.stop.is_set = True
            self.cancel()
            await asyncio.wait(self._under_way)
            self._under_way.clear()
        await super().close()


def _answer(task: asyncio.Task[Any]) -> Any:
    return asyncio.CancelledError() if task.cancelled() else task.exception() or task.result()
