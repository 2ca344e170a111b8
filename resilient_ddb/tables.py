"""The classes that are mixed into boto3's own resource classes, at the extension point that boto3 itself uses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Unpack

from .fallback import Chain, FallbackFunction
from .host import settings_of_ttl, with_options
from .paging import Pages

if TYPE_CHECKING:
    from types_boto3_dynamodb.service_resource import DynamoDBServiceResource as _ServiceResource
    from types_boto3_dynamodb.service_resource import Table as _Table
    from types_boto3_dynamodb.type_defs import PutItemInputTablePutItemTypeDef, PutItemOutputTableTypeDef

    from .batch import BatchWriter
    from .batch_get import BatchGet
    from .batch_settings import OnLeftover, Rate
    from .parallel_scan import ParallelScan
    from .policy import Policy
    from .token_bucket import Limiter
    from .ttl import TtlFilter
    from .versioned_tables import VersionedTable
else:
    _ServiceResource = _Table = object

_TABLE_OPTIONS = ("fallback", "ttl", "ttl_filter", "ttl_skew")


class _Native:
    """Has a resource's client take and give native values, before boto3 registers its own handlers for that."""

    meta: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        client = kwargs.get("client")
        if client is not None and hasattr(client, "_resilience"):
            client._resilience.host.use_native_values()  # noqa: SLF001 - the attribute is this library's own
        super().__init__(*args, **kwargs)


class ResilientServiceResource(_Native, _ServiceResource):
    """boto3's `dynamodb.ServiceResource`, hardened."""

    def __aenter__(self) -> NoReturn:
        raise TypeError(
            "resource is the sync one: use it without 'async with', or take resilient_ddb.aio.resource(...)"
        )

    __aexit__ = None

    if TYPE_CHECKING:

        def Table(  # noqa: N802 - boto3's name; ours adds options
            self,
            name: str,
            *,
            fallback: FallbackFunction | None = None,
            ttl: str | None = None,
            ttl_filter: TtlFilter | None = None,
            ttl_skew: float | None = None,
        ) -> ResilientTable:
            """Give a Table, with the options that `resilient_ddb.table` describes."""


class ResilientTable(_Native, _Table):
    """boto3's `dynamodb.Table`, hardened, and safe to share between threads."""

    def batch_writer(
        self,
        overwrite_by_pkeys: list[str] | None = None,
        flush_amount: int = 25,
        *,
        write_units_per_second: Rate = None,
        max_workers: int = 1,
        max_attempts: int | None = None,
        on_leftover: OnLeftover = "raise",
        flush_on_error: bool = False,
    ) -> BatchWriter:
        """Give a writer that sends puts and deletes in batches of 25: boto3's, but nothing is lost.

        Used as a context manager; what is buffered is written when the block ends. Items that DynamoDB did not take
        are sent again after a full-jitter pause, with others, so that batches are whole. Of requests for one key the
        last one wins. An item that can't be written does not keep its neighbours from being written. Where the block
        ends in an exception, nothing more is sent: `leftovers` has what is not surely written.

        For one thread at a time. See `BatchReport` for what `report` tells.

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
                `retry.max_attempts` where it is None.
            on_leftover: `"raise"`, or a function that is given lists of requests: those that were refused, as they
                are, and those given up after `max_attempts`. It is then theirs, and nothing is raised.
            flush_on_error: whether what is buffered is written also where the block ends in an exception.

        Raises:
            UnprocessedItemsError: from the writer, as the block ends or `max_attempts` passes made no progress; its
                `items` are all that is not surely written. Where an error is the reason, it is of that class, too.
            TypeError, ValueError: an argument is of the wrong type or out of range.
        """
        from .batch import BatchWriter  # noqa: PLC0415 - only where it is used
        from .batch_settings import BatchSettings  # noqa: PLC0415 - as above

        settings = BatchSettings(
            overwrite_by_pkeys=overwrite_by_pkeys,
            flush_amount=flush_amount,
            write_units_per_second=write_units_per_second,
            max_workers=max_workers,
            max_attempts=max_attempts,
            on_leftover=on_leftover,
            flush_on_error=flush_on_error,
        )
        return BatchWriter(self.name, self.meta.client, settings)

    if TYPE_CHECKING:

        def put_item(
            self, *, ttl_seconds: float | None = None, **kwargs: Unpack[PutItemInputTablePutItemTypeDef]
        ) -> PutItemOutputTableTypeDef:
            """Put an item; on a Table with `ttl=`, one that expires in `ttl_seconds`."""

    def query_items(self, *, limit: int | None = None, **params: Any) -> Iterator[dict[str, Any]]:
        """Give an iterator over the items of a query, page after page.

        On a Table with `ttl=`, over those that have not expired. A page is asked for when the one before it has been
        given, and no more than one is held.

        Args:
            limit: items to give at most; all where left out. `Limit`, which is boto3's, is the size of a page: where
                it is left out and `limit` is given, pages are as large as that, and grow while little is found.
            params: the parameters of `query`.

        Raises:
            TypeError, ValueError: `limit` is no whole number of 1 or more, or `Select` is `COUNT`.
        """
        return _items(self.query, Pages("query", params, limit))

    def scan_items(self, *, limit: int | None = None, **params: Any) -> Iterator[dict[str, Any]]:
        """Give an iterator over the items of a scan. See `query_items`; `params` are the parameters of `scan`."""
        return _items(self.scan, Pages("scan", params, limit))

    def batch_get(
        self, keys: Iterable[Mapping[str, Any]], *, read_units_per_second: float | Limiter | None = None, **params: Any
    ) -> BatchGet:
        """Give an iterator over the items of any number of keys, in the order of the keys.

        Keys are asked for 100 a request, as the iterator gets to them. One that comes again within 100,000 keys is
        asked for, and given, once. Keys that DynamoDB leaves undone are asked for again, after a full-jitter pause
        where a request made no progress. Fallbacks are not asked.

        Args:
            keys: the keys, all with the same attributes. At most 200 are taken ahead of the item that is given.
            read_units_per_second: read capacity units to use at most, a second: a number, or a `RateLimiter`. No
                limit where left out.
            params: `ConsistentRead`, `ProjectionExpression`, `ExpressionAttributeNames`, as of `batch_get_item`.

        Returns:
            The iterator. Its `missing` lists the keys for which there was no item, or, on a Table with `ttl=`, one
            that has expired.

        Raises:
            UnprocessedKeysError: from the iterator, when the policy's `max_attempts` passes made no progress, or the
                deadline comes before the next one; its `keys` are those whose items were not given.
            TypeError, ValueError: an argument, or a key, can't be meant.
        """
        from .batch_get import BatchGet  # noqa: PLC0415 - only where it is used

        return BatchGet(self, keys, params, read_units_per_second)

    def parallel_scan(
        self,
        segments: int | Literal["auto"] = "auto",
        *,
        read_units_per_second: float | Limiter | None = None,
        on_page: Callable[[dict[str, Any]], Any] | None = None,
        resume: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> ParallelScan:
        """Give an iterator over the table's items that reads several segments at once, each on a thread.

        On a Table with `ttl=`, over those that have not expired. Items come in no order. At most a page of each
        segment is held, besides the one that is given. Fallbacks are not asked.

        Args:
            segments: how many. `"auto"`: one for each 2 GB of the table, 32 at most. More than 32 are scanned 32 at a
                time, or as many as the client has connections.
            read_units_per_second: read capacity units to use at most, a second: a number, or a `RateLimiter`. No
                limit where left out.
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
        """
        from .parallel_scan import ParallelScan  # noqa: PLC0415 - only where it is used

        return ParallelScan(
            self, segments=segments, rate=read_units_per_second, on_page=on_page, resume=resume, params=params
        )

    def versioned(self, attribute: str = "version", write_token: str | None = None) -> VersionedTable:
        """Give this table with optimistic locking: of two that read the same version of an item, one may write it.

        Args:
            attribute: the attribute that holds the version, a whole number; the first is 1.
            write_token: an attribute to keep the marks of an item's last writes in. With them a lost reply is cleared
                up also for `update_item`, and `modify` takes the write units of a put, not of a transaction.

        Raises:
            TypeError, ValueError: an attribute's name is none, or is given twice.
        """
        from .versioned_tables import VersionedTable  # noqa: PLC0415 - only where it is used

        return VersionedTable(self, attribute, write_token)

    def _transact_write_items(self, **params: Any) -> Any:
        """Write in a transaction; what stands for a table and has keys of its own translates them here."""
        return self.meta.client.transact_write_items(**params)

    def __await__(self) -> Generator[Any, None, NoReturn]:
        raise TypeError("table is the sync one: use it without 'await', or take resilient_ddb.aio.table(...)")
        yield

    def __copy__(self) -> ResilientTable:
        """Share the client, as a copy of boto3's Table does. By `__reduce__` it would get other credentials."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> ResilientTable:
        """Share the client: boto3's Table can't be copied deeply."""
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the recipe: the table's name, region, endpoint and policy. Never credentials."""
        core = self.meta.client._resilience  # noqa: SLF001 - this library's own
        meta = self.meta.client.meta
        return _restore_table, (self.name, meta.region_name, meta.endpoint_url, core.policy, core.options())


def _items(read: Callable[..., Any], pages: Pages) -> Iterator[dict[str, Any]]:
    while not pages.is_over:
        yield from pages.items(read(**pages.params))


def _restore_table(
    name: str, region: str, endpoint_url: str, policy: Policy, options: dict[str, Any]
) -> ResilientTable:
    from .session import table  # noqa: PLC0415 - session builds on this module

    return table(name, region_name=region, endpoint_url=endpoint_url, policy=policy, **options)


def harden_service_resource_class(class_attributes: dict[str, Any], base_classes: list[type], **_: Any) -> None:
    """Handle boto3's `creating-resource-class.dynamodb.ServiceResource`."""
    if ResilientServiceResource in base_classes:
        return
    base_classes.insert(0, ResilientServiceResource)
    class_attributes["Table"] = _with_options(class_attributes["Table"])


def harden_table_class(
    class_attributes: dict[str, Any], base_classes: list[type], service_context: Any, **_: Any
) -> None:
    """Handle boto3's `creating-resource-class.dynamodb.Table`."""
    if ResilientTable in base_classes:
        return
    base_classes.insert(0, ResilientTable)
    model = class_attributes["meta"].resource_model
    shape = service_context.service_model.shape_for(model.shape)
    identifiers = {identifier.member_name for identifier in model.identifiers}
    for name, (member, _shape) in model.get_attributes(shape).items():
        if name not in identifiers:
            class_attributes[name] = _attribute(member, class_attributes[name])


def _attribute(member: str, original: property) -> property:
    """Give an attribute that is read from what was loaded, in one step.

    boto3's reads `meta.data` twice; an action on another thread may have cleared it in between.
    """

    def load_and_get(self: Any) -> Any:
        data = self.meta.data
        if data is None:
            data = self.meta.client.describe_table(TableName=self.name)["Table"]
            self.meta.data = data
        return data.get(member)

    load_and_get.__doc__ = original.__doc__
    return property(load_and_get)


def _with_options(make: Callable[..., Any]) -> Callable[..., Any]:
    def table(self: Any, *args: Any, **options: Any) -> Any:
        fallback, *of_ttl = (options.pop(option, None) for option in _TABLE_OPTIONS)
        unknown = [option for option in options if option != "name"]
        if unknown:
            raise TypeError(
                f"Table() got the unknown option {unknown[0]!r} ({options[unknown[0]]!r}); it takes a name, and "
                f"as options: {', '.join(_TABLE_OPTIONS)}"
            )
        if fallback is not None:
            check_fallback(fallback)
        ttl = settings_of_ttl(*of_ttl)
        made = make(self, *args, **options)
        made.meta.client = with_options(made.meta.client, made.name, fallback=fallback, ttl=ttl)
        return made

    table.__name__ = "Table"
    table.__doc__ = make.__doc__
    return table


def check_fallback(fallback: Any) -> None:
    """Refuse what can't answer for a sync Table.

    Raises:
        TypeError: it can't be called, or is async.
    """
    for member in Chain(fallback).members:
        if inspect.iscoroutinefunction(member):
            raise TypeError(
                f"fallback must not be async on the sync Table; got {member!r}: async fallbacks are for "
                "resilient_ddb.aio"
            )
