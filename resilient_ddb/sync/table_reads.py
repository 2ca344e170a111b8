"""Reads of a sync Table that take more than one request: what boto3's Table has not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

from resilient_ddb.calls.flows import Flow, run
from resilient_ddb.policy.arguments import names_checked

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import QueryInputTableQueryTypeDef, ScanInputTableScanTypeDef

    from resilient_ddb.bulk.token_bucket import Limiter
    from resilient_ddb.dynamodb.parameters import KeysParameters
    from resilient_ddb.sharding.fan_in_reading import OnShardError, Reading

    from .batch_get import BatchGet
    from .parallel_scan import ParallelScan


class KeysReads:
    """The part of `ResilientTable`, and of `ShardedTable`, that reads several partition keys."""

    _fan_in_reading: Callable[..., Flow[Reading]]

    @names_checked
    def query_many_items(
        self,
        partition_keys: Iterable[Any],
        *,
        max_items: int | None = None,
        **params: Unpack[QueryInputTableQueryTypeDef],
    ) -> Iterator[dict[str, Any]]:
        """Return an iterator over the items of several partition keys. One page of each is held at most.

        Of a sharded table: over all shards of each. Fallbacks are not asked.

        Args:
            partition_keys: as for `query_many`.
            max_items: items to give at most; all if left out. `Limit` is the size of a key's pages.
            params: as for `query_many`.

        Raises:
            TypeError, ValueError, ClientError: as `query_many`.
            RuntimeError: from the iterator, an interrupt came while an item was on its way. Begin anew.
        """
        from resilient_ddb.bulk.iterators import ItemIterator  # noqa: PLC0415 - only where it is used

        reading = run(self._fan_in_reading(partition_keys, params, max_items))
        return ItemIterator(reading, "query_many_items", self)

    def _together(self: Any, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        from .together import together  # noqa: PLC0415 - only where it is used

        return together(self.meta.client, calls)


class TableReads(KeysReads):
    """The part of `ResilientTable` that reads."""

    @names_checked
    def query_items(
        self,
        *,
        max_items: int | None = None,
        read_units_per_second: float | Limiter | None = None,
        **params: Unpack[QueryInputTableQueryTypeDef],
    ) -> Iterator[dict[str, Any]]:
        """Return an iterator over the items of a query, page after page.

        On a Table with `ttl=`, over those that have not expired. A page is asked for when the one before it has been
        given, and no more than one is held. Fallbacks are not asked. After an error it may be iterated on: what was not
        given is asked for again.

        Args:
            max_items: items to give at most; all if left out. `Limit`, which is boto3's, is a page's size. If it is
                left out and `max_items` is given, pages are as large as that, and grow while little is found.
            read_units_per_second: read capacity units to use at most, a second: a number, or a `RateLimiter`. No
                limit if left out.
            params: the parameters of `query`.

        Raises:
            TypeError, ValueError: an argument can't be meant, or `Select` is `COUNT`.
            PaginationError: from the iterator, a page leads back to one of before, which would have no end.
        """
        return _items(self, "query", params, max_items, read_units_per_second)

    @names_checked
    def scan_items(
        self,
        *,
        max_items: int | None = None,
        read_units_per_second: float | Limiter | None = None,
        **params: Unpack[ScanInputTableScanTypeDef],
    ) -> Iterator[dict[str, Any]]:
        """Return an iterator over the items of a scan. See `query_items`; `params` are the parameters of `scan`."""
        return _items(self, "scan", params, max_items, read_units_per_second)

    @names_checked
    def get_items(
        self,
        keys: Iterable[Mapping[str, Any]],
        *,
        read_units_per_second: float | Limiter | None = None,
        **params: Unpack[KeysParameters],
    ) -> BatchGet:
        """Return an iterator over the items of any number of keys, in the order of the keys.

        Keys are asked for 100 a request, as the iterator gets to them. One that comes again within 100,000 keys is
        asked for, and given, once. Keys that DynamoDB leaves undone are asked for again, after a full-jitter pause
        where a request made no progress. Fallbacks are not asked.

        Args:
            keys: the keys, all with the same attributes. At most 200 are taken ahead of the item that is given.
            read_units_per_second: read capacity units to use at most, a second: a number, or a `RateLimiter`. No
                limit if left out.
            params: `ConsistentRead`, `ProjectionExpression`, `ExpressionAttributeNames`, as of `batch_get_item`.

        Returns:
            The iterator. Its `missing` lists the keys for which there was no item, or, on a Table with `ttl=`, one
            that has expired.

        Raises:
            UnprocessedKeysError: from the iterator, when the policy's `max_attempts` passes made no progress, or the
                deadline comes before the next one. Its `keys` are those whose items were not given.
            RuntimeError: from the iterator, when a generator of keys was broken off and has no more: that is no end.
            TypeError, ValueError: an argument, or a key, can't be meant.
        """
        from .batch_get import BatchGet  # noqa: PLC0415 - only where it is used

        return BatchGet(self, keys, params, read_units_per_second)

    @names_checked
    def parallel_scan(
        self,
        segments: int | Literal["auto"] = "auto",
        *,
        read_units_per_second: float | Limiter | None = None,
        on_page: Callable[[dict[str, Any]], Any] | None = None,
        resume: Mapping[str, Any] | None = None,
        **params: Unpack[ScanInputTableScanTypeDef],
    ) -> ParallelScan:
        """Return an iterator over the table's items that reads several segments at once, each on a thread.

        On a Table with `ttl=`, over those that have not expired. Items come in no order. At most a page of each
        segment is held, besides the one that is given. Fallbacks are not asked.

        Args:
            segments: how many. `"auto"`: one for each 2 GB of the table, 32 at most. More than 32 are scanned 32 at a
                time, or as many as the client has connections.
            read_units_per_second: read capacity units to use at most, a second: a number, or a `RateLimiter`. No
                limit if left out.
            on_page: called with the state after each page, when all of its items were given: when the item after the
                page's last was asked for.
            resume: a state to go on from. What it counts as given does not come again; of the page that was being
                given when it was taken, all items do.
            params: the parameters of `scan`.

        Returns:
            The iterator. Its `state` is where it stands.

        Raises:
            ValueError: from the iterator, `resume` is of another table, of one made anew, or of other parameters.
            TypeError, ValueError: an argument can't be meant, or `resume` is damaged.
            ClientError: from the iterator, a segment failed, and all were stopped. `error.scan_state` is where it
                stands.
            PaginationError: from the iterator, a page leads back to one of before. Likewise.
        """
        from .parallel_scan import ParallelScan  # noqa: PLC0415 - only where it is used

        return ParallelScan(
            self, segments=segments, rate=read_units_per_second, on_page=on_page, resume=resume, params=params
        )

    @names_checked
    def query_many(
        self,
        partition_keys: Iterable[Any],
        *,
        on_shard_error: OnShardError = "raise",
        **params: Unpack[QueryInputTableQueryTypeDef],
    ) -> dict[str, Any]:
        """Query several partition keys at the same time, and give one response, as boto3 shapes it.

        Items come in the order of their sort keys, whichever key they are of. `Limit` is for all keys together; counts
        and consumed capacity are sums. `LastEvaluatedKey` is for `ExclusiveStartKey` of this very fan-in only: a plain
        dict, which may go through JSON.

        Args:
            partition_keys: the values of the partition key, of the table or of `IndexName`: 1,000 at most.
            on_shard_error: if a key can't be read for the moment, `raise` the error; or `skip` it, and return the
                items of the others. The missing keys, as they were given, are in
                `response["ResponseMetadata"]["Resilience"]["missing_keys"]`.
            params: query's parameters. `KeyConditionExpression` is for the sort key alone, and may be left out.

        Raises:
            TypeError, ValueError: an argument can't be meant, or `ExclusiveStartKey` is of another query.
            ClientError: a key could not be read; a note says which.
            PaginationError: a page of a key leads back to one of before.
        """
        from resilient_ddb.sharding.queries import fan_in  # noqa: PLC0415 - only where it is used

        return run(fan_in(self, self._together, partition_keys, params, on_shard_error))

    def _fan_in_reading(self, *asked: Any) -> Flow[Reading]:
        from resilient_ddb.sharding.queries import fan_in_reading  # noqa: PLC0415 - only where it is used

        return fan_in_reading(self, self._together, *asked)


def _items(table: Any, verb: str, *of_items: Any) -> Iterator[dict[str, Any]]:
    from resilient_ddb.bulk.items import Items  # noqa: PLC0415 - only where it is used
    from resilient_ddb.bulk.iterators import ItemIterator  # noqa: PLC0415 - as above

    return ItemIterator(Items(table, verb, *of_items, sleep=time.sleep), f"{verb}_items", table)
