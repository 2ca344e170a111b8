"""Keys for buckets of time."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_ddb.sharding.buckets import time_buckets

NAIVE, WEST = datetime, timezone(timedelta(hours=-2))


@pytest.mark.parametrize(
    ("start", "end", "by", "expected"),
    [
        (date(2026, 2, 27), date(2026, 3, 1), "day", ["2026-02-27", "2026-02-28", "2026-03-01"]),
        (date(2026, 11, 30), date(2027, 1, 1), "month", ["2026-11", "2026-12", "2027-01"]),
        (date(2026, 1, 31), date(2026, 3, 1), "month", ["2026-01", "2026-02", "2026-03"]),
        (date(2026, 12, 31), date(2028, 1, 1), "year", ["2026", "2027", "2028"]),
        (NAIVE(2026, 3, 1, 22, 59), NAIVE(2026, 3, 2), "hour", ["2026-03-01T22", "2026-03-01T23", "2026-03-02T00"]),
        (date(2026, 3, 1), date(2026, 3, 1), "hour", ["2026-03-01T00"]),
        (datetime(2026, 3, 1, 23, 30, tzinfo=WEST), datetime(2026, 3, 2, 1, 30, tzinfo=UTC), "hour", ["2026-03-02T01"]),
    ],
)
def test_time_buckets(start, end, by, expected):
    assert time_buckets("", start, end, by) == expected
    assert time_buckets("acme", start, end, by) == [f"acme#{name}" for name in expected]
    assert time_buckets("acme", start, end, by, separator="/")[0] == f"acme/{expected[0]}"


@given(
    start=st.datetimes(NAIVE(2000, 1, 1), NAIVE(2030, 1, 1)),
    hours=st.integers(0, 100),
    by=st.sampled_from(["hour", "day", "month", "year"]),
)
def test_every_moment_is_in_a_bucket(start, hours, by):
    moments = [start + timedelta(hours=hour) for hour in range(hours + 1)]
    form = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}[by]
    assert time_buckets("", start, moments[-1], by) == list(dict.fromkeys(moment.strftime(form) for moment in moments))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("p", "2026-01-01", date(2026, 1, 1)), "start must be a date or a datetime; got str"),
        (("p", date(2026, 1, 2), date(2026, 1, 1)), "end must not be before start"),
        (("p", date(2026, 1, 1), None), "end must be a date"),
        ((5, date(2026, 1, 1), date(2026, 1, 1)), "prefix must be a text"),
        (("p", date(2026, 1, 1), date(2026, 1, 1), "week"), "by must be one of 'year', 'month', 'day', 'hour'"),
    ],
)
def test_buckets_that_cannot_be_meant(arguments, says):
    with pytest.raises((TypeError, ValueError), match=says):
        time_buckets(*arguments)
