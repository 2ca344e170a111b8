"""The partition keys of a stretch of time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from resilient_ddb.policy.arguments import names_checked

_FORMS = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H"}
By = Literal["year", "month", "day", "hour"]


@names_checked
def time_buckets(
    prefix: str, start: date | datetime, end: date | datetime, by: By = "day", *, separator: str = "#"
) -> list[str]:
    """Return the partition keys of a stretch of time, such as `acme#2026-11-20` and `acme#2026-11-21`.

    For `table.query_many(partition_keys)`, where each day, or hour, of something has a partition key of its own.

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
