"""Spark jobs that write to a table and read from it, at one stated rate for the whole job. Needs pyspark.

    from resilient_ddb.spark import read_table, write_partitions

What goes to the executors is a recipe of the table, never credentials: each finds its own, as boto3 does.
"""

from __future__ import annotations

import pickle
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal

from resilient_ddb.bulk.pacing import ReadRate, auto_rate, read_rate
from resilient_ddb.bulk.paging import Pages, refuse_count
from resilient_ddb.bulk.settings import BatchReport
from resilient_ddb.calls.flows import run
from resilient_ddb.calls.unanswered import without_fallbacks
from resilient_ddb.errors import UnprocessedItemsError
from resilient_ddb.events import explained
from resilient_ddb.policy.arguments import names_checked
from resilient_ddb.policy.checks import check_number, check_whole
from resilient_ddb.sync.session import resource
from resilient_ddb.sync.session import table as make_table
from resilient_ddb.sync.shared_limiter import SharedRateLimiter
from resilient_ddb.sync.tables import ResilientTable

from .values import check_columns, check_schema, item_of, row_of

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

__all__ = ["WriteReport", "read_table", "write_partitions"]

LEASES = "rate-leases"
"""The name of the lease table, where none is given."""
_NAMED_KEYS = 100
Rate = float | SharedRateLimiter | None


@explained
@dataclass(frozen=True, kw_only=True)
class WriteReport:
    """What a job has written. Tasks that failed and were made again count once."""

    written: int
    """Items that DynamoDB has acknowledged."""
    retried: int
    """Items that had to be sent again."""
    throttled_batches: int
    """Batches that were held up: by a limit, or else by a lost reply."""
    batches: int
    """Batches that were answered."""
    partitions: int
    """Partitions that had items."""
    consumed_units: float
    """Write capacity units. With a rate, as DynamoDB reported them, indexes included, and one for each item at least;
    else counted by size."""
    average_rate: float
    """Write capacity units a second, on average over the whole job."""
    elapsed: float
    """Seconds that the job took."""


@names_checked
def write_partitions(
    data: DataFrame | RDD[Any],
    table: ResilientTable | str,
    *,
    write_units_per_second: float | Literal["auto"] | SharedRateLimiter | None = None,
    leases: ResilientTable | str = LEASES,
    max_workers: int = 1,
    max_attempts: int | None = None,
) -> WriteReport:
    """Put every row as an item, each partition by a batch writer of its own, and return when all are written.

    A task that fails is made again by Spark, and puts its items again: that changes nothing, as puts are keyed. Of rows
    with the same key, the last one of a partition is written; between partitions, and where a task is killed, the order
    is open.

    Args:
        data: a DataFrame, or an RDD of Rows or dicts. See the documentation for how values are written.
        table: a hardened Table, or its name: then it is made by `resilient_ddb.table(name)` wherever it is needed.
        write_units_per_second: capacity units to write at most, a second, by the whole job; a number, or a
            `SharedRateLimiter` to share a rate with others. `"auto"`: half of what the table has provisioned, or its
            warm throughput. None: as fast as it goes.
        leases: the table by which the tasks share the rate, or its name: then it is created, if there is none.
        max_workers: batches that a task has under way at once.
        max_attempts: passes without any progress before a task gives up; the policy's `retry.max_attempts` where it
            is None.

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range, or a column can't be written. Nothing
            is written.
        ClientError: the table can't be described, or the lease table not be created.
        Exception: Spark's own (Spark 4: `PythonException`), where a task failed for good; its text
            has the task's error. For items that are not surely written that is an `UnprocessedItemsError`, with keys.
    """
    _need_pyspark()
    rdd = _rdd_of(data)
    check_whole("max_workers", max_workers, least=1)
    if max_attempts is not None:
        check_whole("max_attempts", max_attempts, least=1)
    made = _table_of(table, "table")
    if write_units_per_second is not None and write_units_per_second != "auto":
        _check_rate("write_units_per_second", write_units_per_second)
    about = made.meta.client.describe_table(TableName=made.name)["Table"]
    keys = [part["AttributeName"] for part in about["KeySchema"]]
    schema = getattr(data, "schema", None)
    if schema is not None:
        check_schema(schema, keys)
    rate = auto_rate(about) if write_units_per_second == "auto" else write_units_per_second
    recipe = _recipe(made, _limiter(made, rate, leases, "write"))
    write = _Write(recipe, keys, {"max_workers": max_workers, "max_attempts": max_attempts})
    started = time.monotonic()
    reports: list[BatchReport] = rdd.mapPartitions(write).collect()
    return _summed(reports, time.monotonic() - started)


@names_checked
def read_table(
    spark: SparkSession,
    table: ResilientTable | str,
    *,
    schema: StructType | str | None = None,
    segments: int | None = None,
    read_units_per_second: float | SharedRateLimiter | None = None,
    leases: ResilientTable | str = LEASES,
    **params: Any,
) -> DataFrame | RDD[dict[str, Any]]:
    """Return a table's items, scanned in as many segments as there are partitions. It is read when Spark wants it.

    On a Table with `ttl=`, items that have expired are left out.

    Args:
        spark: the session.
        table: a hardened Table, or its name: then it is made by `resilient_ddb.table(name)` wherever it is needed.
        schema: the columns, as a StructType or in words (`"id string, price decimal(10, 2)"`).
        segments: into how many the table is divided, each a partition; `spark.sparkContext.defaultParallelism` where it
            is None. AWS advises one for each 2 GB, at least.
        read_units_per_second: capacity units to read at most, a second, by the whole job; a number, or a
            `SharedRateLimiter`. None: as fast as it goes.
        leases: see `write_partitions`.
        params: the parameters of `scan`, such as `FilterExpression` or `IndexName`.

    Returns:
        With a schema, a DataFrame: an attribute that is missing is null, one that has no column is left out. Without
        one, an RDD of dicts, as boto3's Table gives them: numbers are Decimal.

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range. Nothing is sent.
        ClientError: the lease table can't be created.
    """
    _need_pyspark()
    context = spark.sparkContext
    if segments is not None:
        check_whole("segments", segments, least=1)
    for name in ("Segment", "TotalSegments", "ExclusiveStartKey", "ReturnConsumedCapacity"):
        if name in params:
            raise ValueError(f"{name} must be left to read_table; give segments instead")
    refuse_count("scan", params)
    made = _table_of(table, "table")
    if read_units_per_second is not None:
        _check_rate("read_units_per_second", read_units_per_second)
    total = segments or context.defaultParallelism
    columns = spark.createDataFrame([], schema).schema if isinstance(schema, str) else schema
    if columns is not None:
        if not hasattr(columns, "fields"):
            raise TypeError(f"schema must be a StructType, or text such as 'id string, price double'; got {schema!r}")
        check_columns(columns)
    limiter = _limiter(made, read_units_per_second, leases, "read")
    rdd = context.parallelize(range(total), total).mapPartitions(_Read(_recipe(made, limiter), total, params))
    return rdd if columns is None else spark.createDataFrame(rdd.map(partial(row_of, schema=columns)), columns)


# On the driver.


def _need_pyspark() -> None:
    try:
        import pyspark  # noqa: F401, PLC0415 - an extra: what does not use Spark does without
    except ImportError as error:
        raise ImportError("resilient_ddb.spark needs pyspark: pip install 'resilient_ddb[spark]'") from error


def _rdd_of(data: Any) -> RDD[Any]:
    rdd = data if hasattr(data, "mapPartitions") else getattr(data, "rdd", None)
    if rdd is None or not hasattr(rdd, "mapPartitions"):
        raise TypeError(f"data must be a DataFrame, or an RDD of Rows or dicts; got {data!r}, which has none")
    return rdd


def _table_of(table: Any, name: str) -> ResilientTable:
    if isinstance(table, str):
        return make_table(table)
    if not isinstance(table, ResilientTable):
        raise TypeError(f"{name} must be a hardened Table, from resilient_ddb.table(...), or its name; got {table!r}")
    return table


def _check_rate(name: str, rate: Any) -> None:
    if isinstance(rate, SharedRateLimiter):
        return
    if hasattr(rate, "reserve"):
        raise TypeError(f"{name} must be a number, or a SharedRateLimiter: {rate!r} holds within one process only")
    check_number(name, rate, above=0)


def _limiter(table: ResilientTable, rate: Rate, leases: Any, kind: str) -> SharedRateLimiter | None:
    """Return what holds a job's rate. Each job has one of its own: a rate that was stated twice is no common one."""
    if rate is None or isinstance(rate, SharedRateLimiter):
        return rate
    if isinstance(leases, str):
        meta, core = table.meta.client.meta, table.meta.client._resilience  # noqa: SLF001 - this library's own
        dynamodb = resource(
            "dynamodb", region_name=meta.region_name, endpoint_url=meta.endpoint_url, policy=core.policy
        )
        leases = SharedRateLimiter.create_table(dynamodb, leases)
    return SharedRateLimiter(_table_of(leases, "leases"), f"{table.name}/{kind}/{uuid.uuid4().hex}", rate)


def _recipe(table: ResilientTable, limiter: SharedRateLimiter | None) -> bytes:
    from pyspark import cloudpickle  # noqa: PLC0415 - see above; a policy may hold functions of the program's own

    recipe: bytes = cloudpickle.dumps((table, limiter))
    return recipe


def _summed(reports: Sequence[BatchReport], elapsed: float) -> WriteReport:
    consumed = sum(report.consumed_units for report in reports)
    return WriteReport(
        written=sum(report.written for report in reports),
        retried=sum(report.retried for report in reports),
        throttled_batches=sum(report.throttled_batches for report in reports),
        batches=sum(report.batches for report in reports),
        partitions=len(reports),
        consumed_units=consumed,
        average_rate=consumed / elapsed if elapsed else 0.0,
        elapsed=elapsed,
    )


# On the executors.


@lru_cache(maxsize=8)
def _made(recipe: bytes) -> tuple[ResilientTable, SharedRateLimiter | None]:
    """Make the table and the limiter once in each process: the tasks that it is given share connections and lease."""
    made: tuple[ResilientTable, SharedRateLimiter | None] = pickle.loads(recipe)  # noqa: S301 - Spark brought it
    return made


class _Write:
    """Writes one partition, and gives the report."""

    def __init__(self, recipe: bytes, keys: Sequence[str], options: dict[str, Any]) -> None:
        self._recipe, self._keys, self._options = recipe, keys, options

    def __call__(self, rows: Iterable[Any]) -> Iterator[BatchReport]:
        table, limiter = _made(self._recipe)
        batch = table.batch_writer(list(self._keys), write_units_per_second=limiter, **self._options)
        try:
            with batch:
                for row in rows:
                    batch.put_item(Item=item_of(row, self._keys))
        except UnprocessedItemsError as error:
            error.args = (f"{error}; their keys: {self._named(error.requests)}",)
            raise
        except Exception as error:  # a row that is no item, a table that is not allowed: what came before it may wait
            if batch.unprocessed:
                error.add_note(f"not surely written are the items with the keys {self._named(batch.unprocessed)}")
            raise
        if batch.report.batches:
            yield batch.report

    def _named(self, requests: Sequence[Mapping[str, Any]]) -> str:
        items = [request["PutRequest"]["Item"] for request in requests]
        named = [repr({key: item.get(key) for key in self._keys}) for item in items[:_NAMED_KEYS]]
        more = len(items) - len(named)
        return ", ".join(named) + (f" and {more} more" if more else "")


class _Read:
    """Reads one segment."""

    def __init__(self, recipe: bytes, total: int, params: dict[str, Any]) -> None:
        self._recipe, self._total, self._params = recipe, total, params

    def __call__(self, segments: Iterable[int]) -> Iterator[dict[str, Any]]:
        table, limiter = _made(self._recipe)
        rate = read_rate(limiter, table, self._params, 0.0)
        for segment in segments:
            yield from _items(table, rate, {**self._params, "Segment": segment, "TotalSegments": self._total})


def _items(table: ResilientTable, rate: ReadRate | None, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return a segment's items: with a rate, each page when its units are there."""
    asked = {} if rate is None else {"ReturnConsumedCapacity": "TOTAL"}
    pages = Pages("scan", {**params, **asked}, None, table=table.name)
    while not pages.is_over:
        units = 0.0 if rate is None else run(rate.take("Scan", 1, time.sleep))
        with without_fallbacks():  # what they remember may be stale
            response = table.scan(**pages.params)
        if rate is not None:
            rate.settle(units, 1, response)
        yield from pages.items(response)


def __dir__() -> list[str]:
    return sorted(__all__)
