"""The bases of the async ServiceResource and Table: what the resource model does not say."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from boto3.resources.base import ServiceResource

from resilient_ddb.hooks.config import with_timeouts
from resilient_ddb.hooks.models import SharesClient
from resilient_ddb.policy.arguments import NOT_GIVEN, NotGiven, names_checked

from .lazy import Lazy, LazyClient
from .pending import Pending, pending
from .table_reads import AsyncTableReads

if TYPE_CHECKING:
    from decimal import Decimal

    from types_aiobotocore_dynamodb.service_resource import DynamoDBServiceResource as _ServiceResourceTypes
    from types_aiobotocore_dynamodb.service_resource import Table as _TableTypes
    from types_aiobotocore_dynamodb.type_defs import (
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

    from .batch_writer import AsyncBatchWriter
    from .sharded_tables import AsyncShardedTable
    from .versioned_tables import AsyncVersionedTable
else:
    _ServiceResourceTypes = _TableTypes = object


class AsyncResource(ServiceResource):  # type: ignore[misc]  # boto3 has no types of its own
    """A resource on an async client. `==`, `hash` and `repr` as boto3's."""

    _made_by: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make it of boto3's arguments: the identifiers, and `client`."""
        if type(self).meta is None:  # no class was made of it
            raise TypeError(f"{type(self).__name__} names a type, for annotations: make one by {self._made_by}")
        super().__init__(*args, **kwargs)
        if not isinstance(self.meta.client, Lazy):
            self.meta.client._resilience.host.use_native_values()  # noqa: SLF001 - this library's own


class AsyncServiceResource(AsyncResource, _ServiceResourceTypes):
    """`dynamodb.ServiceResource`, async and hardened."""

    _made_by = "resilient_ddb.aio.resource('dynamodb')"

    async def __aenter__(self) -> Self:
        """Open the running loop's client, for a block at whose end it is closed."""
        client = self.meta.client
        return type(self)(client=await client.__aenter__() if isinstance(client, LazyClient) else client)

    async def __aexit__(self, *exc_info: object) -> None:
        if isinstance(self.meta.client, LazyClient):
            await self.meta.client.leave()

    async def close(self) -> None:
        """Close the client that this resource opened on the running loop; its Tables share it.

        What `aio.resource(...)` returned opens it anew with the next call.
        """
        client: Any = getattr(self.meta.client, "_lazy", self.meta.client)
        await client.close()

    if TYPE_CHECKING:

        def Table(  # noqa: N802 - boto3's name; ours adds options
            self,
            name: str,
            *,
            policy: Policy | None = None,
            ttl: str | TimeToLive | NotGiven | None = NOT_GIVEN,
        ) -> AwaitableTable:
            """Return a Table, which may be awaited, with the options that `resilient_ddb.aio.table` describes."""

        async def create_table(self, **kwargs: Unpack[CreateTableInputServiceResourceCreateTableTypeDef]) -> AsyncTable:
            """Create a table, and return it. It can be used once `wait_until_exists()` returns."""


class AsyncTable(SharesClient, AsyncTableReads, AsyncResource, _TableTypes):
    """`dynamodb.Table`, async and hardened: boto3's verbs and attributes, each to be awaited.

    The verbs are those below and `delete`, `delete_item`, `get_available_subresources`, `get_item`, `load`, `put_item`,
    `query`, `reload`, `scan`, `update`, `update_item`, `wait_until_exists`, `wait_until_not_exists`. The attributes are
    such as `table_status`. `help(table)` of a Table that was made shows all of them in full.
    """

    _made_by = "resilient_ddb.aio.resource('dynamodb').Table(name), or resilient_ddb.aio.table(name)"

    _owns_client = False
    """Whether the client was made for this Table alone."""
    _restore: Callable[[str, dict[str, Any]], AsyncTable]
    """Makes a Table of its pickled recipe. The module that makes the class hands it in."""

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
    ) -> AsyncBatchWriter:
        """Return a writer that sends puts and deletes in batches: aioboto3's, but nothing is lost.

        Used as an async context manager, and else as `resilient_ddb.ResilientTable.batch_writer`, which describes the
        other arguments. Tasks may share it; `on_unprocessed` may be async.

        Args:
            overwrite_by_pkeys: names of the key's attributes: of requests for the same key, only the last one is sent.
            flush_amount: requests that are held before a batch is sent; a batch has 25 at most.
            on_exit_loop_sleep: seconds to sleep between batches as the block ends.
            write_units_per_second: capacity units to write at most: a number, a limiter, `"auto"`, or None.
            max_workers: batches under way at once, each in a task of its own.
            max_attempts: passes without any progress before it gives up.
            on_unprocessed: `"raise"`, or a function that is given lists of requests.
            flush_on_error: whether what is buffered is written also where the block ends in an exception.

        Raises:
            UnprocessedItemsError: from the writer, as the block ends or `max_attempts` passes made no progress.
            TypeError, ValueError: an argument is of the wrong type or out of range.
        """
        from resilient_ddb.bulk.settings import BatchSettings  # noqa: PLC0415 - only where it is used

        from .batch_writer import AsyncBatchWriter  # noqa: PLC0415 - as above

        settings = BatchSettings(
            overwrite_by_pkeys=overwrite_by_pkeys,
            flush_amount=flush_amount,
            write_units_per_second=write_units_per_second,
            max_workers=max_workers,
            max_attempts=max_attempts,
            on_unprocessed=on_unprocessed,
            flush_on_error=flush_on_error,
            pause_on_exit=on_exit_loop_sleep,
        )
        return AsyncBatchWriter(self.name, self.meta.client, settings)

    if TYPE_CHECKING:

        async def put_item(
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
    ) -> AsyncShardedTable:
        """Return this table with its items spread over shards. See `resilient_ddb.ResilientTable.sharded`."""
        from resilient_ddb.sharding.shard_layout import layout_of  # noqa: PLC0415 - only where it is used

        from .sharded_tables import AsyncShardedTable  # noqa: PLC0415 - as above

        layout = layout_of(
            shards, by=by, separator=separator, pad=pad, previous=previous, key=key, attribute=shard_attribute
        )
        return AsyncShardedTable(self, layout, on_unknown_shard, on_duplicate, on_shard_error)

    @names_checked
    def versioned(self, attribute: str = "version", write_token: str | None = None) -> AsyncVersionedTable:
        """Return this table with optimistic locking. See `resilient_ddb.ResilientTable.versioned`."""
        from .versioned_tables import AsyncVersionedTable  # noqa: PLC0415 - only where it is used

        return AsyncVersionedTable(self, attribute, write_token)

    @names_checked
    def idempotent_update(self, **params: Any) -> Pending[dict[str, Any]]:
        """Update an item so that the request can be sent again. See `ResilientTable.idempotent_update`."""
        from resilient_ddb.versioning.idempotent import idempotent_update  # noqa: PLC0415 - only where it is used

        return pending(idempotent_update(self, params), "table.idempotent_update")

    async def __aenter__(self) -> Self:
        if self._owns_client:
            self.meta.client.enter()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._owns_client:
            await self.meta.client.leave()

    async def close(self) -> None:
        """Close the client that `aio.table(...)` has opened on the running loop. The next call opens it anew.

        A Table of a resource closes nothing: others share its client.
        """
        if self._owns_client:
            await self.meta.client.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the recipe: the table's name, region, endpoint, config and policy. Never credentials."""
        return self._restore, (self.name, _recipe_of(self.meta.client))


class AwaitableTable(AsyncTable):
    """What `dynamodb.Table(...)` returns: a Table, to be used as it is, or awaited first, as aioboto3's has to be."""

    _plain: type[AsyncTable]
    """The class of the Table that awaiting it returns: that one is not to be awaited again."""

    def __await__(self) -> Generator[Any, Any, AsyncTable]:
        return self._table().__await__()

    async def _table(self) -> AsyncTable:
        return self._plain(self.name, client=self.meta.client)


Table = AsyncTable
"""The name for annotations."""


def _recipe_of(client: Any) -> dict[str, Any]:
    if isinstance(client, Lazy):
        config = with_timeouts(client.recipe.get("config"), client.timeouts)
        return {**client.recipe, "policy": client.policy, "config": config}
    core = client._resilience  # noqa: SLF001 - this library's own
    return {
        "policy": core.policy,
        "ttl": None if core.ttl is None else core.ttl.by_table,
        **core.host.recipe(core.timeouts),
    }
