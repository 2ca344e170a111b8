"""Iterators that an error breaks off: whoever iterates on is given the rest, each item once, and no early end."""

import asyncio
import contextlib

import pytest
from aio_support import until
from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError
from sharded_support import ALL, done

from resilient_ddb.testing import faults

COUNT = 24
REFUSED = {"operations": {"Query", "Scan"}, "code": "AccessDeniedException"}
READERS = {
    "query_items": lambda table: table.query_items(Limit=5, **ALL),
    "query_items, with a limit": lambda table: table.query_items(max_items=COUNT, Limit=5, **ALL),
    "query_items, at a rate": lambda table: table.query_items(read_units_per_second=1e6, Limit=5, **ALL),
    "scan_items": lambda table: table.scan_items(Limit=5, FilterExpression=Key("pk").eq("a")),
    "query_many_items": lambda table: table.query_many_items(["a", "b"], Limit=5),
    "sharded query_items": lambda table: table.sharded(3, by="sk").query_items(Limit=5, **ALL),
    "sharded query_many_items": lambda table: table.sharded(3, by="sk").query_many_items(["a"], Limit=5),
}


async def fill(either, name):
    table = either.table.sharded(3, by="sk") if name.startswith("sharded") else either.direct
    for number in range(COUNT):
        await done(table.put_item(Item={"pk": "a", "sk": number}))


async def loop_over(items, given):
    if hasattr(items, "__anext__"):
        async for item in items:
            given.append(int(item["sk"]))
    else:
        for item in items:
            given.append(int(item["sk"]))


async def ask_one_by_one(items, given):
    with contextlib.suppress(StopIteration, StopAsyncIteration):
        while True:
            item = await items.__anext__() if hasattr(items, "__anext__") else next(items)
            given.append(int(item["sk"]))


@pytest.mark.parametrize("name", READERS)
async def test_whoever_iterates_on_after_an_error_is_given_the_rest(either, name):
    await fill(either, name)
    either.proxy.plan = [faults.Throttle(every=2, times=4, **REFUSED)]
    items, given, failures = READERS[name](either.table), [], 0
    while True:
        try:
            await (ask_one_by_one if failures % 2 else loop_over)(items, given)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDeniedException"  # noqa: PT017 - until there is none
            failures += 1
        else:
            break
    assert given == list(range(COUNT))
    assert failures >= 2
    either.proxy.clear()
    await loop_over(items, given)
    await ask_one_by_one(items, given)
    assert len(given) == COUNT
    assert not either.proxy.seen


@pytest.mark.parametrize("given_as", [list, iter])
async def test_an_iterator_that_could_not_begin_begins_again(either, given_as):
    await fill(either, "query_many_items")
    either.proxy.plan = [faults.Throttle(operations={"DescribeTable", "Query"}, code="AccessDeniedException")]
    given = []
    if either.is_sync:  # the verb itself asks for the table's keys
        with pytest.raises(ClientError):
            either.table.query_many_items(given_as(["a", "b"]))
        either.proxy.plan = []
        items = either.table.query_many_items(given_as(["a", "b"]))
    else:
        items = either.table.query_many_items(given_as(["a", "b"]))
        with pytest.raises(ClientError):
            await loop_over(items, given)
        either.proxy.plan = []
    await loop_over(items, given)
    assert given == list(range(COUNT))


async def test_one_that_was_closed_gives_no_more(either):
    await fill(either, "query_items")
    items = either.table.query_items(Limit=5, **ALL)
    given = []
    either.proxy.plan = [faults.Throttle(**REFUSED)]
    with pytest.raises(ClientError):
        await loop_over(items, given)
    either.proxy.clear()
    await done(items.close() if either.is_sync else items.aclose())
    await loop_over(items, given)
    assert given == []
    assert not either.proxy.seen


@pytest.mark.parametrize("either", ["async"], indirect=True)  # threads are not cancelled
async def test_a_cancelled_task_leaves_the_page_to_whoever_iterates_on(either):
    await fill(either, "query_items")
    items, given = either.table.query_items(Limit=5, **ALL), []
    either.proxy.plan = [faults.Hang(operations={"Query"}, every=2, times=1)]
    task = asyncio.create_task(loop_over(items, given))
    await until(lambda: either.proxy.count("Query") == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await loop_over(items, given)
    assert given == list(range(COUNT))


async def test_what_other_shards_have_answered_is_not_asked_for_again(either):
    await fill(either, "sharded")
    items, given = either.table.sharded(3, by="sk").query_items(**ALL), []
    either.proxy.plan = [faults.Throttle(times=1, **REFUSED)]
    with pytest.raises(ClientError):
        await loop_over(items, given)
    await loop_over(items, given)
    assert given == list(range(COUNT))
    assert either.proxy.count("Query") == 4
