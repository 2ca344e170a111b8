"""A `SharedRateLimiter` whose lease table is given by its name."""

import pickle

import pytest
from emulators import session_for

import resilient_ddb as rddb


def test_a_lease_table_is_found_by_its_name(dynamodb_local, hardened, table_name):
    rddb.SharedRateLimiter.create_table(hardened(dynamodb_local.endpoint_url), table_name)
    session = session_for(dynamodb_local.endpoint_url)
    options = {"endpoint_url": dynamodb_local.endpoint_url, "session": session}
    with rddb.SharedRateLimiter(table_name, "orders", 10, **options) as limiter:
        limiter.reserve(1)
        assert limiter.share == 10


def test_it_pickles_by_its_recipe():
    options = {"region_name": "eu-west-1", "endpoint_url": "http://127.0.0.1:1"}
    limiter = rddb.SharedRateLimiter("leases", "orders", 10, **options)
    again = pickle.loads(pickle.dumps(limiter))  # noqa: S301 - made just now
    assert repr(again) == repr(limiter)


def test_a_table_has_its_options_already():
    table = rddb.table("leases", region_name="eu-west-1")
    with pytest.raises(TypeError, match="endpoint_url goes with a table's name"):
        rddb.SharedRateLimiter(table, "orders", 10, endpoint_url="http://127.0.0.1:1")
