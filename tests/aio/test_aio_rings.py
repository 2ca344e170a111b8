"""Pages that lead back to where a reader has been: each reader, sync and async, ends with an error that says so."""

import pytest
from boto3.dynamodb.conditions import Key
from botocore.exceptions import PaginationError
from paging_rings import Ring
from sharded_support import ALL, done

from resilient_ddb.sharding import RANDOM

AT_MOST = {"Limit": 5}
BY_INDEX = {"IndexName": "by-at", "KeyConditionExpression": Key("pk").eq("a")}
READERS = {
    "query_items": lambda table: table.query_items(**ALL),
    "query_items of an index": lambda table: table.query_items(**BY_INDEX),
    "query_items, with a limit": lambda table: table.query_items(max_items=3, **ALL),
    "scan_items": lambda table: table.scan_items(),
    "parallel_scan": lambda table: table.parallel_scan(2),
    "parallel_scan, at a rate": lambda table: table.parallel_scan(1, read_units_per_second=1e6),
    "query_many": lambda table: table.query_many(["a", "b"], **AT_MOST),
    "query_many, partly": lambda table: table.query_many(["a", "b"], on_shard_error="skip", **AT_MOST),
    "query_many, counted": lambda table: table.query_many(["a", "b"], Select="COUNT", **AT_MOST),
    "query_many_items": lambda table: table.query_many_items(["a", "b"]),
    "sharded query": lambda table: table.sharded(2, by=RANDOM).query(**ALL, **AT_MOST),
    "sharded query_items": lambda table: table.sharded(2, by=RANDOM).query_items(**ALL),
    "sharded query_many": lambda table: table.sharded(2, by=RANDOM).query_many(["a"], **AT_MOST),
    "sharded query_many_items": lambda table: table.sharded(2, by=RANDOM).query_many_items(["a"]),
    "reshard": lambda table: table.sharded(2, previous=[4], by=RANDOM).reshard(),
    "reshard of a key": lambda table: table.sharded(2, previous=[4], by=RANDOM).reshard(partition_keys=["a"]),
}


async def read(reader):
    answer = await done(reader)
    if hasattr(answer, "__next__"):
        return list(answer)
    return answer


@pytest.mark.parametrize("name", READERS)
async def test_a_reader_ends_with_an_error_where_its_pages_lead_back(either, name):
    attributes = ("sk", "at") if "index" in name else ("sk",)
    sources = 2 if name.startswith(("query_many", "sharded")) or name == "parallel_scan" else 1
    for tail, length, most in [(0, 1, 2), (0, 2, 3), (3, 2, 6), (0, 6, 18)]:  # longer ones: test_bulk_paging.py
        either.proxy.plan = [Ring(tail=tail, length=length, keys=attributes)]
        either.proxy.clear()
        with pytest.raises(PaginationError) as raised:
            await read(READERS[name](either.table))
        said = str(raised.value)
        assert repr(either.name) in said
        assert all(repr(attribute) in said for attribute in ("pk", *attributes))
        assert either.proxy.count("Query") + either.proxy.count("Scan") <= sources * (most + 1)


async def test_a_reader_that_begins_within_the_ring_sees_it_too(either):
    either.proxy.plan = [Ring()]
    with pytest.raises(PaginationError):
        await read(either.table.query_items(ExclusiveStartKey={"pk": "a", "sk": 0}, **ALL))
    assert either.proxy.count("Query") == 1


async def test_a_scan_that_was_stopped_by_a_ring_says_where_it_stands(either):
    either.proxy.plan = [Ring(tail=1, length=2)]
    scan = either.table.parallel_scan(1)
    with pytest.raises(PaginationError) as raised:
        await read(scan)
    assert raised.value.scan_state["segments"] == [{"pk": {"S": "a"}, "sk": {"N": "2"}}]


async def test_a_source_that_leads_back_is_named(either):
    either.proxy.plan = [Ring()]
    with pytest.raises(PaginationError) as raised:
        await read(either.table.sharded(2, by=RANDOM).query_items(**ALL))
    assert raised.value.__notes__ == ["fan-in of 2: shard 0 could not be read"]
