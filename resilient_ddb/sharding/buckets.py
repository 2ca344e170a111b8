"""Write sharding, beside `table.sharded(...)`: keys for buckets of time, and moving items to another layout."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from resilient_ddb.policy.checks import check_callable

from .resharding import ReshardReport, reshard_flow
from .verbs import ShardedVerbs

__all__ = ["ReshardReport", "reshard", "time_buckets"]

_FORMS = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H"}
By = Literal["year", "month", "day", "hour"]


def time_buckets(
    prefix: str, start: date | datetime, end: date | datetime, by: By = "day", *, separator: str = "#"
) -> list[str]:
    """Return the partition keys of a stretch of time, such as `acme#2026-11-20` and `acme#2026-11-21`.

    For `table.query_many(keys=...)`, where each day, or hour, of something has a partition key of its own.

    Args:
        prefix: what the keys begin with; nothing, and no separator, where it is empty.
        start: the earliest moment: its bucket is the first. A datetime with a time zone is taken in UTC, one without as
            it is; a date is its midnight.
        end: the last moment: its bucket is the last.
        by: what a bucket holds: a `year` (2026), `month` (2026-11), `day` (2026-11-21) or `hour` (2026-11-21T09).
        separator: what stands between the prefix and the time.

    Raises:
        TypeError, ValueError: an argument can't be meant, or `end` is before `start`.
    """
    for name, value in (("prefix", prefix), ("separator", separator)):
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a text; got {value!r}")
    if by not in _FORMS:
        raise ValueError(f"by must be one of {', '.join(map(repr, _FORMS))}; got {by!r}")
    first, last = _moment("start", start), _moment("end", end)
    if last < first:
        raise ValueError(f"end must not be before start; got {start} to {end}")
    begin = f"{prefix}{separator}" if prefix else ""
    step = timedelta(hours=1) if by == "hour" else timedelta(days=1)
    moment = first.replace(minute=0, second=0, microsecond=0)
    if by != "hour":
        moment = moment.replace(hour=0)
    buckets: dict[str, None] = {}
    while moment <= last:
        buckets[begin + moment.strftime(_FORMS[by])] = None
        moment += step
    return list(buckets)


def _moment(name: str, value: Any) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a date has no time zone
    raise TypeError(f"{name} must be a date or a datetime; got {type(value).__name__}")


def reshard(
    table: Any,
    keys: list[Any] | None = None,
    *,
    write_units_per_second: Any = None,
    resume: dict[str, Any] | None = None,
    on_page: Callable[[dict[str, Any]], None] | None = None,
) -> Any:
    """Move the items of a sharded table to where its present layout has them. Can be stopped, and gone on with.

    Each item is moved in a transaction of its own, if it is still what was read: point reads and writes of the sharded
    table find it all the while. One that is changed meanwhile is read and moved again; one whose key is taken where it
    belongs stays, and is counted. On a Table with `ttl=`, expired items stay behind. A query that runs meanwhile may
    miss an item that is moved between two of its requests, or give it twice.

    Args:
        table: what `Table.sharded(..., previous=...)` gave; an async one gives what is to be awaited.
        keys: the partition keys whose items are moved, as callers see them, 1,000 at most; None: all of the table, by a
            scan.
        write_units_per_second: write capacity units to use at most, a second: a number, or a limiter such as
            `resilient_ddb.RateLimiter`. No limit where left out. A move takes four times the units of a put.
        resume: what `on_page` was given last, to go on from there.
        on_page: called after each page with where the work stands: a dict for `json.dumps`.

    Returns:
        A `ReshardReport` of this call: what earlier ones did, before `resume`, is not in it.

    Raises:
        TypeError, ValueError: an argument can't be meant, `resume` is of another reshard, or the table is sharded
            by an index's key.
        ClientError: a request failed. What was moved stays moved: go on from the last page, or begin anew.
    """
    if not isinstance(table, ShardedVerbs):
        raise TypeError(f"table must be what Table.sharded(...) gave; got {type(table).__name__}")
    if on_page is not None:
        check_callable("on_page", on_page, takes="where the work stands")
    return table._run(reshard_flow(table, keys, write_units_per_second, resume, on_page))  # noqa: SLF001 - ours
