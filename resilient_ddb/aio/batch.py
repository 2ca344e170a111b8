"""The async batch writer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Self

from resilient_ddb.batch import BatchBuffer, Request
from resilient_ddb.drive import run_async


class AsyncBatchWriter(BatchBuffer):
    """See `AsyncTable.batch_writer`."""

    def __init__(
        self,
        table_name: str,
        client: Any,
        flush_amount: int = 25,
        overwrite_by_pkeys: Sequence[str] | None = None,
        on_exit_loop_sleep: float = 0,
    ) -> None:
        """Take aioboto3's parameters."""
        super().__init__(table_name, client, flush_amount, overwrite_by_pkeys)
        self._on_exit_loop_sleep = on_exit_loop_sleep
        self._lock = asyncio.Lock()

    async def put_item(self, Item: Mapping[str, Any]) -> None:  # noqa: N803 - boto3's name
        """Put an item, now or with a later batch."""
        await self._add_and_flush({"PutRequest": {"Item": Item}})

    async def delete_item(self, Key: Mapping[str, Any]) -> None:  # noqa: N803 - boto3's name
        """Delete an item, now or with a later batch."""
        await self._add_and_flush({"DeleteRequest": {"Key": Key}})

    async def _add_and_flush(self, request: Request) -> None:
        if self.add(request):
            await self._flush(least=self._flush_amount)

    async def _flush(self, least: int = 1) -> None:
        async with self._lock:  # tasks that share the writer send one batch after the other
            if len(self._items_buffer) >= least:  # else another task has sent it meanwhile
                await run_async(self.flush_flow(asyncio.sleep))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, exc_type: object, exc_value: object, tb: object) -> None:
        while self._items_buffer:
            await self._flush()
            if self._on_exit_loop_sleep > 0 and self._items_buffer:
                await asyncio.sleep(self._on_exit_loop_sleep)

    def __enter__(self) -> NoReturn:
        raise TypeError("batch_writer is the async one: use it with 'async with'")
