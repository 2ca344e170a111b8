"""A rate shared by many, used from tasks: its lease table is a sync one."""

import pytest

import resilient_ddb as rddb
from resilient_ddb import aio


def test_an_async_lease_table_is_refused():
    with pytest.raises(
        TypeError, match=r"table must be a sync Table, for async code too.*resilient_ddb.table\(\.\.\.\)"
    ):
        rddb.SharedRateLimiter(aio.table("leases"), "orders", 5)
