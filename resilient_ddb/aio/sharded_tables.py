"""The async sharded table: the items of a partition key spread over several."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self, Unpack

from resilient_ddb.bulk.iterators import AsyncItemIterator, Later
from resilient_ddb.calls.flows import run_async
from resilient_ddb.fallback import Response
from resilient_ddb.policy.arguments import names_checked
from resilient_ddb.sharding.batches import ShardedBatch
from resilient_ddb.sharding.queries import ShardedQueries
from resilient_ddb.versioning.idempotent import idempotent_update

from .pending import Pending, pending
from .table_behind import AsyncTableBehind
from .table_reads import AsyncKeysReads
from .together import together

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import QueryInputTableQueryTypeDef

    from resilient_ddb.bulk.settings import OnUnprocessed, Rate
    from resilient_ddb.bulk.token_bucket import Limiter
    from resilient_ddb.dynamodb.parameters import DeleteParameters, GetParameters, PutParameters, UpdateParameters
    from resilient_ddb.sharding.fan_in_reading import OnShardError
    from resilient_ddb.sharding.resharding import ReshardReport

    from .versioned_tables import AsyncVersionedTable


class AsyncShardedTable(ShardedQueries, AsyncKeysReads, AsyncTableBehind):
    """An async Table whose partition keys are stored with suffixes. Made by `table.sharded()`; tasks may share it.

    Parameters, results and errors are those of `resilient_ddb.ShardedTable`; await each verb.
    """

    _sleep = staticmethod(asyncio.sleep)
    _together = staticmethod(together)

    @names_checked
    def put_item(self, Item: Mapping[str, Any], **params: Unpack[PutParameters]) -> Pending[Response]:
        """Put an item into a shard: a random one, or the one that is calculated."""
        return pending(self._put(Item, params), "sharded.put_item")

    @names_checked
    def get_item(self, Key: Mapping[str, Any], **params: Unpack[GetParameters]) -> Pending[Response]:
        """Read an item: from its shard where that can be calculated from `Key`, else from all."""
        return pending(self._get(Key, params), "sharded.get_item")

    @names_checked
    def update_item(self, Key: Mapping[str, Any], **params: Unpack[UpdateParameters]) -> Pending[Response]:
        """Update an item; where its shard can't be calculated it is found first, or that is refused."""
        return pending(self._change("update_item", Key, params), "sharded.update_item")

    @names_checked
    def delete_item(self, Key: Mapping[str, Any], **params: Unpack[DeleteParameters]) -> Pending[Response]:
        """Delete an item. See `update_item`."""
        return pending(self._change("delete_item", Key, params), "sharded.delete_item")

    @names_checked
    def query(self, **params: Unpack[QueryInputTableQueryTypeDef]) -> Pending[Response]:
        """Query all shards of a key at the same time, and give one response, as boto3 shapes it."""
        return pending(self._query(params), "sharded.query")

    @names_checked
    def query_items(
        self, *, max_items: int | None = None, **params: Unpack[QueryInputTableQueryTypeDef]
    ) -> AsyncIterator[dict[str, Any]]:
        """Return an async iterator over the items of a query of all shards."""
        reading = partial(self._reading, params, max_items)
        return AsyncItemIterator(Later(reading), "query_items", self)

    @names_checked
    def query_many(
        self,
        partition_keys: Iterable[Any],
        *,
        on_shard_error: OnShardError | None = None,
        **params: Unpack[QueryInputTableQueryTypeDef],
    ) -> Pending[Response]:
        """Query all shards of several partition keys. See `resilient_ddb.ResilientTable.query_many`."""
        return pending(self._fan_in(partition_keys, params, on_shard_error), "sharded.query_many")

    @names_checked
    def batch_writer(
        self,
        overwrite_by_pkeys: list[str] | None = None,
        flush_amount: int = 25,
        on_exit_loop_sleep: float = 0,
        *,
        write_units_per_second: Rate = None,
        max_workers: int = 1,
        max_attempts: int | None = None,
        on_unprocessed: OnUnprocessed = "raise",
        flush_on_error: bool = False,
    ) -> AsyncShardedBatchWriter:
        """Return the Table's batch writer for items of this table."""
        return AsyncShardedBatchWriter(
            self,
            overwrite_by_pkeys,
            on_unprocessed,
            flush_amount=flush_amount,
            on_exit_loop_sleep=on_exit_loop_sleep,
            write_units_per_second=write_units_per_second,
            max_workers=max_workers,
            max_attempts=max_attempts,
            flush_on_error=flush_on_error,
        )

    @names_checked
    def versioned(self, attribute: str = "version", write_token: str | None = None) -> AsyncVersionedTable:
        """Return this table with optimistic locking. See `resilient_ddb.ResilientTable.versioned`."""
        from .versioned_tables import AsyncVersionedTable  # noqa: PLC0415 - only where it is used

        self._refuse_random("versioned()")
        return AsyncVersionedTable(self, attribute, write_token)

    @names_checked
    def reshard(
        self,
        partition_keys: Iterable[Any] | None = None,
        *,
        write_units_per_second: float | Limiter | None = None,
        resume: Mapping[str, Any] | None = None,
        on_page: Callable[[dict[str, Any]], Any] | None = None,
    ) -> Pending[ReshardReport]:
        """Move items to where the present layout has them. See `resilient_ddb.ShardedTable.reshard`."""
        from resilient_ddb.sharding.resharding import resharding  # noqa: PLC0415 - only where it is used

        flow = resharding(self, partition_keys, write_units_per_second, resume, on_page)
        return pending(flow, "sharded.reshard")

    @names_checked
    def idempotent_update(self, **params: Any) -> Pending[Response]:
        """Update an item so that the request can be sent again. See `ResilientTable.idempotent_update`."""
        return pending(idempotent_update(self, params), "sharded.idempotent_update")

    def _transact_write_items(self, **params: Any) -> Any:
        return run_async(self._transact(params))


class AsyncShardedBatchWriter(ShardedBatch):
    """A batch writer for an async sharded table."""

    async def put_item(self, Item: Mapping[str, Any], *, ttl_seconds: Any = None) -> None:
        """Put an item into a shard, now or with a later batch."""
        await run_async(self._put(Item, ttl_seconds))

    async def delete_item(self, Key: Mapping[str, Any]) -> None:
        """Delete an item whose shard can be calculated from `Key`, now or with a later batch."""
        await run_async(self._delete(Key))

    async def flush(self) -> None:
        """Write everything that is buffered, and return when it is answered."""
        await run_async(self._flushing())

    async def __aenter__(self) -> Self:
        await self._writer.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> Any:
        return await run_async(self._leaving(self._writer.__aexit__, exc_info))
