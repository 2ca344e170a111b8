"""Reads of an async Table that take more than one request: what boto3's Table has not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Unpack

from resilient_ddb.calls.flows import Flow
from resilient_ddb.policy.arguments import names_checked

from .pending import Pending, pending

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import QueryInputTableQueryTypeDef, ScanInputTableScanTypeDef

    from resilient_ddb.bulk.token_bucket import Limiter
    from resilient_ddb.dynamodb.parameters import KeysParameters
    from resilient_ddb.sharding.fan_in_reading import OnShardError, Reading

    from .batch_get import AsyncBatchGet
    from .parallel_scan import AsyncParallelScan


class AsyncKeysReads:
    """The part of `AsyncTable`, and of `AsyncShardedTable`, that reads several partition keys."""

    _fan_in_reading: Callable[..., Flow[Reading]]

    @names_checked
    def query_many_items(
        self,
        partition_keys: Iterable[Any],
        *,
        max_items: int | None = None,
        **params: Unpack[QueryInputTableQueryTypeDef],
    ) -> AsyncIterator[dict[str, Any]]:
        """Return an async iterator over several partition keys. See `resilient_ddb.ResilientTable.query_many_items`."""
        from resilient_ddb.bulk.iterators import AsyncItemIterator, Later  # noqa: PLC0415 - only where it is used

        if isinstance(partition_keys, Iterator):  # it would be used up if the first request fails, and is made again
            partition_keys = list(partition_keys)
        reading = partial(self._fan_in_reading, partition_keys, params, max_items)
        return AsyncItemIterator(Later(reading), "query_many_items", self)


class AsyncTableReads(AsyncKeysReads):
    """The part of `AsyncTable` that reads."""

    @names_checked
    def query_items(
        self,
        *,
        max_items: int | None = None,
        read_units_per_second: float | Limiter | None = None,
        **params: Unpack[QueryInputTableQueryTypeDef],
    ) -> AsyncIterator[dict[str, Any]]:
        """Return an async iterator over the items of a query. See `resilient_ddb.ResilientTable.query_items`."""
        return _items(self, "query", params, max_items, read_units_per_second)

    @names_checked
    def scan_items(
        self,
        *,
        max_items: int | None = None,
        read_units_per_second: float | Limiter | None = None,
        **params: Unpack[ScanInputTableScanTypeDef],
    ) -> AsyncIterator[dict[str, Any]]:
        """Return an async iterator over the items of a scan. See `resilient_ddb.ResilientTable.scan_items`."""
        return _items(self, "scan", params, max_items, read_units_per_second)

    @names_checked
    def get_items(
        self,
        keys: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        read_units_per_second: float | Limiter | None = None,
        **params: Unpack[KeysParameters],
    ) -> AsyncBatchGet:
        """Return an async iterator over the items of any number of keys. See `ResilientTable.get_items`."""
        from .batch_get import AsyncBatchGet  # noqa: PLC0415 - only where it is used

        return AsyncBatchGet(self, keys, params, read_units_per_second)

    @names_checked
    def parallel_scan(
        self,
        segments: int | Literal["auto"] = "auto",
        *,
        read_units_per_second: float | Limiter | None = None,
        on_page: Callable[[dict[str, Any]], Any] | None = None,
        resume: Mapping[str, Any] | None = None,
        **params: Unpack[ScanInputTableScanTypeDef],
    ) -> AsyncParallelScan:
        """Return an async iterator over the table's items that reads several segments at once, each in a task.

        See `resilient_ddb.ResilientTable.parallel_scan`. `on_page` may be async.
        """
        from .parallel_scan import AsyncParallelScan  # noqa: PLC0415 - only where it is used

        return AsyncParallelScan(
            self, segments=segments, rate=read_units_per_second, on_page=on_page, resume=resume, params=params
        )

    @names_checked
    def query_many(
        self,
        partition_keys: Iterable[Any],
        *,
        on_shard_error: OnShardError = "raise",
        **params: Unpack[QueryInputTableQueryTypeDef],
    ) -> Pending[dict[str, Any]]:
        """Query several partition keys at the same time. See `resilient_ddb.ResilientTable.query_many`."""
        from resilient_ddb.sharding.queries import fan_in  # noqa: PLC0415 - only where it is used

        from .together import together  # noqa: PLC0415 - as above

        return pending(fan_in(self, together, partition_keys, params, on_shard_error), "table.query_many")

    def _fan_in_reading(self, *asked: Any) -> Flow[Reading]:
        from resilient_ddb.sharding.queries import fan_in_reading  # noqa: PLC0415 - only where it is used

        from .together import together  # noqa: PLC0415 - as above

        return fan_in_reading(self, together, *asked)


def _items(table: Any, verb: str, *of_items: Any) -> AsyncIterator[dict[str, Any]]:
    from resilient_ddb.bulk.items import Items  # noqa: PLC0415 - only where it is used
    from resilient_ddb.bulk.iterators import AsyncItemIterator  # noqa: PLC0415 - as above

    return AsyncItemIterator(Items(table, verb, *of_items, sleep=asyncio.sleep), f"{verb}_items", table)
