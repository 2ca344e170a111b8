"""The ServiceResource and the Table, as far as boto3's own have to be added to. See `resource_classes`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

from resilient_ddb.calls.flows import run
from resilient_ddb.hooks.models import SharesClient
from resilient_ddb.policy.arguments import NOT_GIVEN, NotGiven, names_checked

from .table_reads import TableReads

if TYPE_CHECKING:
    from decimal import Decimal

    from types_boto3_dynamodb.service_resource import DynamoDBServiceResource as _ServiceResource
    from types_boto3_dynamodb.service_resource import Table as _Table
    from types_boto3_dynamodb.type_defs import (
        CreateTableInputServiceResourceCreateTableTypeDef,
        PutItemInputTablePutItemTypeDef,
        PutItemOutputTableTypeDef,
    )

    from resilient_ddb.bulk.settings import OnUnprocessed, Rate
    from resilient_ddb.policy.policy import Policy
    from resilient_ddb.sharding.fan_in_reading import OnShardError
    from resilient_ddb.sharding.layout import Shards
    from resilient_ddb.sharding.shard_layout import By, ShardLayout
    from resilient_ddb.sharding.verbs import OnDuplicate
    from resilient_ddb.ttl.rule import TimeToLive

    from .batch_writer import BatchWriter
    from .sharded_tables import ShardedTable
    from .versioned_tables import VersionedTable
else:
    _ServiceResource = _Table = object


class _Native:
    """Has a resource's client take and give native values, before boto3 registers its own handlers for that."""

    meta: Any
    _made_by: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not hasattr(type(self), "meta"):  # boto3 has made no class of it
            raise TypeError(f"{type(self).__name__} names a type, for annotations: make one by {self._made_by}")
        client = kwargs.get("client")
        if client is not None and hasattr(client, "_resilience"):
            client._resilience.host.use_native_values()  # noqa: SLF001 - the attribute is this library's own
        super().__init__(*args, **kwargs)


class ResilientServiceResource(_Native, _ServiceResource):
    """boto3's `dynamodb.ServiceResource`, hardened."""

    _made_by = "resilient_ddb.resource('dynamodb')"

    if TYPE_CHECKING:

        def Table(  # noqa: N802 - boto3's name; ours adds options
            self,
            name: str,
            *,
            policy: Policy | None = None,
            ttl: str | TimeToLive | NotGiven | None = NOT_GIVEN,
        ) -> ResilientTable:
            """Return a Table, with options of its own.

            Args:
                name: the table's name.
                policy: how its calls are made, if not as for the rest of the resource. This Table then has circuits
                    and budgets of its own, and may have other timeouts and another fallback. The connections are the
                    same.
                ttl: the TTL attribute, or a `TimeToLive`; None: none, whatever the resource's `ttl` says.
            """

        def create_table(self, **kwargs: Unpack[CreateTableInputServiceResourceCreateTableTypeDef]) -> ResilientTable:
            """Create a table, and return it. It can be used once `wait_until_exists()` returns."""


class ResilientTable(_Native, SharesClient, TableReads, _Table):
    """boto3's `dynamodb.Table`, hardened, and safe to share between threads.

    Its verbs are boto3's, and those below: `delete`, `delete_item`, `get_available_subresources`, `get_item`, `load`,
    `put_item`, `query`, `reload`, `scan`, `update`, `update_item`, `wait_until_exists`, `wait_until_not_exists`. So are
    its attributes, such as `table_status`. `help(table)` of a Table that was made shows all of them in full.
    """

    _made_by = "resilient_ddb.resource('dynamodb').Table(name), or resilient_ddb.table(name)"

    _restore: Callable[[str, dict[str, Any], Policy | None], ResilientTable]
    """Makes a Table of its pickled recipe. The module that makes the class hands it in."""

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
    ) -> BatchWriter:
        """Return a writer that sends puts and deletes in batches of 25: boto3's, but nothing is lost.

        Used as a context manager; what is buffered is written when the block ends. Items that DynamoDB did not take
        are sent again after a full-jitter pause, with others, so that batches are whole. Of requests for one key the
        last one wins. An item that can't be written does not keep its neighbours from being written. Where the block
        ends in an exception, nothing more is sent: `unprocessed` has what is not surely written. A generator that is
        left early and `sys.exit()` are none: they write. A writer that is dropped with requests in it warns.

        Threads may share it: one of them sends for all. See `BatchReport` for what `report` tells.

        Args:
            overwrite_by_pkeys: names of the key's attributes: of requests for the same key, only the last one is sent.
            flush_amount: requests that are held before a batch is sent; a batch has 25 at most.
            write_units_per_second: capacity units to write at most, a number or a limiter (`RateLimiter`), which
                several writers may share. `"auto"`: half of what the table has provisioned, or its warm throughput,
                looked up with DescribeTable every five minutes. None: as fast as it goes. While DynamoDB throttles,
                the writer goes slower than that.
            max_workers: batches under way at once, each on a thread of its own. With more than one the key's
                attributes have to be known: by `overwrite_by_pkeys`, or DescribeTable is asked.
            max_attempts: passes without any progress, the first included, before it gives up; the policy's
                `retry.max_attempts` if it is None.
            on_unprocessed: `"raise"`, or a function that is given lists of requests: those that were refused, as they
                are, and those given up after `max_attempts`. It is then theirs, and nothing is raised.
            flush_on_error: whether what is buffered is written also where the block ends in an exception.

        Raises:
            UnprocessedItemsError: from the writer, as the block ends or `max_attempts` passes made no progress; its
                `requests` are all that is not surely written. Where an error is the reason, it is of that class, too.
            TypeError, ValueError: an argument is of the wrong type or out of range.
        """
        from resilient_ddb.bulk.settings import BatchSettings  # noqa: PLC0415 - as above

        from .batch_writer import BatchWriter  # noqa: PLC0415 - only where it is used

        settings = BatchSettings(
            overwrite_by_pkeys=overwrite_by_pkeys,
            flush_amount=flush_amount,
            write_units_per_second=write_units_per_second,
            max_workers=max_workers,
            max_attempts=max_attempts,
            on_unprocessed=on_unprocessed,
            flush_on_error=flush_on_error,
        )
        return BatchWriter(self.name, self.meta.client, settings)

    if TYPE_CHECKING:

        def put_item(
            self, *, ttl_seconds: float | Decimal | None = None, **kwargs: Unpack[PutItemInputTablePutItemTypeDef]
        ) -> PutItemOutputTableTypeDef:
            """Put an item; on a Table with `ttl=`, one that expires in `ttl_seconds`."""

    @names_checked
    def sharded(  # noqa: PLR0913 - each is an option of its own
        self,
        shards: Shards | ShardLayout,
        *,
        by: By | None = None,
        key: str | None = None,
        shard_attribute: str | None = None,
        separator: str = "#",
        pad: int = 0,
        previous: Sequence[Shards] = (),
        on_unknown_shard: Literal["find", "raise"] = "find",
        on_duplicate: OnDuplicate | Literal["raise"] = "raise",
        on_shard_error: OnShardError = "raise",
    ) -> ShardedTable:
        """Return this table with the items of each partition key spread over shards: more than one partition can take.

        The key `a` is stored as `a#0`, `a#1` and so on. The table's keys and indexes are looked up with DescribeTable,
        once for each client.

        Args:
            shards: how many shards a key has. It is a number, a mapping of keys to numbers (1 for those that are not
                in it), or a callable that gives the number for a key. 1: the key is stored as it is. Or a
                `ShardLayout`, which holds this and all settings up to `previous`.
            by: the attributes, of text, numbers or bytes, that an item's shard is calculated from. By default the
                table's sort key; for a table without one it must be given. `resilient_ddb.sharding.RANDOM`: the shard
                is drawn at each put, for data that is only added to: a key that is put twice may be there twice.
            key: the attribute whose values are spread, where that is not the table's partition key but an index's.
            shard_attribute: the attribute that holds the suffixed key for an index, while `key` stays as it is.
            separator: what stands between a key and its shard's number, and in no key.
            pad: digits that the number is filled up to with zeros.
            previous: what `shards` was before. Items are read there as well; written where they belong now.
            on_unknown_shard: what becomes of an update or delete of an item whose shard can't be calculated: `find` it
                first, or `raise` a ValueError.
            on_duplicate: what becomes of a point read that finds several items with one key. It is `raise`, for a
                `DuplicateShardItemError`, or a function that takes the items and returns the one that is meant. It
                may be async on the async Table.
            on_shard_error: if a shard can't be read for the moment, `raise` the error; or `skip` it, and return what
                the others have.

        Raises:
            TypeError, ValueError: an argument can't be meant, or there is none of that name. At the first call, a
                ValueError: the table has no sort key, and `by` was not given.
        """
        from resilient_ddb.sharding.shard_layout import layout_of  # noqa: PLC0415 - only where it is used

        from .sharded_tables import ShardedTable  # noqa: PLC0415 - as above

        layout = layout_of(
            shards, by=by, separator=separator, pad=pad, previous=previous, key=key, attribute=shard_attribute
        )
        return ShardedTable(self, layout, on_unknown_shard, on_duplicate, on_shard_error)

    @names_checked
    def versioned(self, attribute: str = "version", write_token: str | None = None) -> VersionedTable:
        """Return this table with optimistic locking: of two that read the same version of an item, one may write it.

        Args:
            attribute: the attribute that holds the version, a whole number; the first is 1.
            write_token: an attribute to keep the marks of an item's last writes in. With them a lost reply is cleared
                up also for `update_item`, and `modify` takes the write units of a put, not of a transaction.

        Raises:
            TypeError, ValueError: an attribute's name is none, or is given twice, or is that of the TTL.
        """
        from .versioned_tables import VersionedTable  # noqa: PLC0415 - only where it is used

        return VersionedTable(self, attribute, write_token)

    @names_checked
    def idempotent_update(self, **params: Any) -> dict[str, Any]:
        """Update an item so that the request can be sent again without being applied twice: a counter, a list.

        The update is sent as a transaction of one item, which DynamoDB recognises for 10 minutes by its token. After
        a lost reply it is sent again, and the answer is certain. It takes twice the write units of `update_item`.

        Args:
            params: `update_item`'s: `Key`, `UpdateExpression`, `ConditionExpression`, `ExpressionAttributeNames` and
                `ExpressionAttributeValues`, `ReturnValuesOnConditionCheckFailure`, `ReturnConsumedCapacity` and
                `ReturnItemCollectionMetrics`. And `ClientRequestToken`: a token of your own, for a call that you mean
                to repeat yourself; up to 36 characters, one for each update. By default each call has a new one.

        Returns:
            The response of `transact_write_items`.

        Raises:
            ConditionalCheckFailedException: the condition did not hold. Its `__cause__` is the transaction's error.
            TransactionCanceledException: the update can't be made, for another reason.
            TypeError, ValueError: a transaction can't do what is asked, such as return values.
        """
        from resilient_ddb.versioning.idempotent import idempotent_update  # noqa: PLC0415 - only where it is used

        return run(idempotent_update(self, params))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the recipe: the table's name, region, endpoint, config and policy. Never credentials."""
        core = self.meta.client._resilience  # noqa: SLF001 - this library's own
        ttl = None if core.ttl is None else core.ttl.by_table
        recipe = {"policy": core.client_policy, "ttl": ttl, **core.host.recipe(core.client_timeouts)}
        return self._restore, (self.name, recipe, core.own_policy)


Table = ResilientTable
"""The name for annotations."""
