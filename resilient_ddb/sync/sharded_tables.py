"""The sync sharded table: the items of a partition key spread over several."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self, Unpack

from resilient_ddb.bulk.iterators import ItemIterator
from resilient_ddb.calls.flows import run
from resilient_ddb.policy.arguments import names_checked
from resilient_ddb.sharding.batches import ShardedBatch
from resilient_ddb.sharding.queries import ShardedQueries
from resilient_ddb.versioning.idempotent import idempotent_update

from .table_behind import TableBehind
from .table_reads import KeysReads

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import QueryInputTableQueryTypeDef

    from resilient_ddb.bulk.settings import OnUnprocessed, Rate
    from resilient_ddb.bulk.token_bucket import Limiter
    from resilient_ddb.dynamodb.parameters import DeleteParameters, GetParameters, PutParameters, UpdateParameters
    from resilient_ddb.sharding.fan_in_reading import OnShardError
    from resilient_ddb.sharding.resharding import ReshardReport

    from .versioned_tables import VersionedTable

Response = dict[str, Any]


class ShardedTable(ShardedQueries, KeysReads, TableBehind):
    """A Table whose partition keys are stored with suffixes. Made by `table.sharded()`; threads may share it.

    What it takes and gives has the keys as they are without. Verbs that are not named here are the Table's own;
    `scan` and its kin, whose items have stored keys, are to be had of `sharded.table`.
    """

    _sleep = staticmethod(time.sleep)

    @names_checked
    def put_item(
        self,
        Item: Mapping[str, Any],  # noqa: N803 - boto3's name
        **params: Unpack[PutParameters],
    ) -> Response:
        """Put an item into a shard: a random one, or the one that is calculated.

        Args:
            Item: the item, with the partition key as it is.
            params: put_item's further parameters. Conditions and `ReturnValues` need a calculated shard.

        Raises:
            TypeError, ValueError: the shard can't be told, or the key has the separator in it. Nothing is sent.
            DuplicateShardItemError: an earlier layout and the present one both have such an item.
        """
        return run(self._put(Item, params))

    @names_checked
    def get_item(
        self,
        Key: Mapping[str, Any],  # noqa: N803 - boto3's name
        **params: Unpack[GetParameters],
    ) -> Response:
        """Read an item: from its shard where that can be calculated from `Key`, else from all with one BatchGetItem.

        Args:
            Key: the item's key; attributes that the shard is calculated from may stand beside it.
            params: get_item's further parameters.

        Raises:
            DuplicateShardItemError: it is in two shards, and `on_duplicate` is `"raise"`.
        """
        return run(self._get(Key, params))

    @names_checked
    def update_item(
        self,
        Key: Mapping[str, Any],  # noqa: N803 - boto3's name
        **params: Unpack[UpdateParameters],
    ) -> Response:
        """Update an item; where its shard can't be calculated it is found first, or that is refused.

        Args:
            Key: as for `get_item`.
            params: update_item's further parameters.

        Raises:
            DuplicateShardItemError: it is in two shards.
            ValueError: its shard is not known, and `on_unknown_shard` is `"raise"`; or the update would move it.
        """
        return run(self._change("update_item", Key, params))

    @names_checked
    def delete_item(
        self,
        Key: Mapping[str, Any],  # noqa: N803 - boto3's name
        **params: Unpack[DeleteParameters],
    ) -> Response:
        """Delete an item. See `update_item`."""
        return run(self._change("delete_item", Key, params))

    @names_checked
    def query(self, **params: Unpack[QueryInputTableQueryTypeDef]) -> Response:
        """Query all shards of a key at the same time, and give one response, as boto3 shapes it.

        Items come in the order of their sort keys. `Limit` is for all shards together; counts and consumed capacity are
        sums. `LastEvaluatedKey` is for `ExclusiveStartKey` of this query only: a plain dict, which may go through JSON.

        Args:
            params: query's parameters. `KeyConditionExpression` must say which partition key is meant.

        Raises:
            ValueError: it does not; or `ExclusiveStartKey` is of another query, or another number of shards.
            ClientError: a shard could not be read; a note says which. With `on_shard_error="skip"`, only where all
                failed, or one for a reason that will not pass. The numbers of the shards left out are in
                `response["ResponseMetadata"]["Resilience"]["missing_shards"]`.
        """
        return run(self._query(params))

    @names_checked
    def query_items(
        self, *, max_items: int | None = None, **params: Unpack[QueryInputTableQueryTypeDef]
    ) -> Iterator[dict[str, Any]]:
        """Return an iterator over the items of a query of all shards. One page of each is held at most.

        Fallbacks are not asked.

        Args:
            max_items: items to give at most; all if left out. `Limit` is the size of a shard's pages.
            params: the parameters of `query`.

        Raises:
            TypeError, ValueError: as `query`, or `max_items` is no whole number of 1 or more.
            ClientError: a shard could not be read.
        """
        return ItemIterator(run(self._reading(params, max_items)), "query_items", self)

    @names_checked
    def query_many(
        self,
        partition_keys: Iterable[Any],
        *,
        on_shard_error: OnShardError | None = None,
        **params: Unpack[QueryInputTableQueryTypeDef],
    ) -> Response:
        """Query all shards of several partition keys. See `ResilientTable.query_many`.

        `on_shard_error` is what `Table.sharded` was given, if it is left out. Of what was skipped,
        `response["ResponseMetadata"]["Resilience"]` has the partition keys, as they were given, in `missing_keys`, and
        the stored keys in `missing_shards`.
        """
        return run(self._fan_in(partition_keys, params, on_shard_error))

    @names_checked
    def batch_writer(
        self,
        overwrite_by_pkeys: list[str] | None = None,
        flush_amount: int = 25,
        *,
        write_units_per_second: Rate = None,
        max_workers: int = 1,
        max_attempts: int | None = None,
        on_unprocessed: OnUnprocessed = "raise",
        flush_on_error: bool = False,
    ) -> ShardedBatchWriter:
        """Return the Table's batch writer for items of this table: see `ResilientTable.batch_writer`.

        Raises:
            ValueError: items may still be where an earlier layout has put them. Or `overwrite_by_pkeys` is given, and
                suffixes are random. From the writer: an item's shard can't be told.
        """
        return ShardedBatchWriter(
            self,
            overwrite_by_pkeys,
            on_unprocessed,
            flush_amount=flush_amount,
            write_units_per_second=write_units_per_second,
            max_workers=max_workers,
            max_attempts=max_attempts,
            flush_on_error=flush_on_error,
        )

    @names_checked
    def versioned(self, attribute: str = "version", write_token: str | None = None) -> VersionedTable:
        """Return this table with optimistic locking. See `ResilientTable.versioned`.

        Raises:
            ValueError: suffixes are random: a version is held against one shard.
        """
        from .versioned_tables import VersionedTable  # noqa: PLC0415 - only where it is used

        self._refuse_random("versioned()")
        return VersionedTable(self, attribute, write_token)

    @names_checked
    def reshard(
        self,
        partition_keys: Iterable[Any] | None = None,
        *,
        write_units_per_second: float | Limiter | None = None,
        resume: Mapping[str, Any] | None = None,
        on_page: Callable[[dict[str, Any]], None] | None = None,
    ) -> ReshardReport:
        """Move items to where the present layout has them. Can be stopped, and gone on with.

        Each item is moved in a transaction of its own, if it is still what was read. Point reads and writes of this
        table, made with `previous`, find it all the while. One that is changed meanwhile is read and moved again; one
        whose key is taken where it belongs stays, and is counted. On a Table with `ttl=`, expired items stay behind.
        A query that runs meanwhile may miss an item that is moved between two of its requests, or give it twice.

        Args:
            partition_keys: the partition keys whose items are moved, as callers see them, 1,000 at most; None: all of
                the table, by a scan.
            write_units_per_second: write capacity units to use at most, a second: a number, or a limiter such as
                `resilient_ddb.RateLimiter`. No limit if left out. A move takes four times the units of a put.
            resume: what `on_page` was given last, to go on from there.
            on_page: called after each page with where the work stands: a dict for `json.dumps`.

        Returns:
            A `ReshardReport` of this call: what earlier ones did, before `resume`, is not in it.

        Raises:
            TypeError, ValueError: an argument can't be meant, `resume` is of another reshard, or the table is sharded
                by an index's key.
            ClientError: a request failed. What was moved stays moved: go on from the last page, or begin anew.
        """
        from resilient_ddb.sharding.resharding import resharding  # noqa: PLC0415 - only where it is used

        return run(resharding(self, partition_keys, write_units_per_second, resume, on_page))

    @names_checked
    def idempotent_update(self, **params: Any) -> Response:
        """Update an item so that the request can be sent again. See `ResilientTable.idempotent_update`.

        Raises:
            ValueError: its shard can't be calculated from `Key`.
        """
        return run(idempotent_update(self, params))

    def _transact_write_items(self, **params: Any) -> Response:
        return run(self._transact(params))


class ShardedBatchWriter(ShardedBatch):
    """A batch writer for a sharded table."""

    def put_item(self, Item: Mapping[str, Any], *, ttl_seconds: Any = None) -> None:  # noqa: N803 - boto3's name
        """Put an item into a shard, now or with a later batch. See `BatchWriter.put_item`."""
        run(self._put(Item, ttl_seconds))

    def delete_item(self, Key: Mapping[str, Any]) -> None:  # noqa: N803 - boto3's name
        """Delete an item whose shard can be calculated from `Key`, now or with a later batch."""
        run(self._delete(Key))

    def flush(self) -> None:
        """Write everything that is buffered, and return when it is answered."""
        run(self._flushing())

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> Any:
        return run(self._leaving(self._writer.__exit__, exc_info))
